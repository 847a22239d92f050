"""For executors that start processes with `spawn`, each of which imports the main script first."""

from __future__ import annotations

import multiprocessing

UNGUARDED = 77
"""The exit status of a worker whose main script searches when it is only imported."""


def exit_if_only_imported() -> None:
    """Call first in whatever a script runs: ends a worker that runs it while importing the script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(UNGUARDED)
