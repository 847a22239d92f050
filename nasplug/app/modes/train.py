"""mode=train: the long work that measurements share (a super-network), done now."""

from __future__ import annotations

from typing import Any

from nasplug.app.checks.fit import check_fit
from nasplug.app.command_line.stopping import orderly
from nasplug.app.components import MAIN, measuring
from nasplug.contracts.errors import NasplugError


def main(cfg: Any) -> None:
    """Prepare the main evaluator of `cfg`, such as training its super-network; nothing is searched."""
    parts = measuring(cfg)
    if MAIN not in parts.evaluators:
        raise NasplugError(
            "mode=train prepares the main evaluator, but there is none: evaluator=NAME"
        )
    if parts.task is not None:
        check_fit(parts.space, parts.task)
    with orderly("stopped before the training was done; run the same command again"):
        parts.evaluators[MAIN].prepare()
