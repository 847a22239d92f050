"""The moments of a run that a plug-in may hear of. Every hook is optional."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from nasplug.app.run import Run
    from nasplug.contracts.types import Record

hookspec = pluggy.HookspecMarker("nasplug")


@hookspec
def nasplug_measured(run: Run, record: Record) -> None:
    """An architecture was measured, or failed, and is safe in the ledger."""


@hookspec
def nasplug_finished(run: Run) -> None:
    """The search ended: the budget is spent or the space exhausted; all files are written."""
