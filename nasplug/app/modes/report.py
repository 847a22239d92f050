"""mode=report: a run's front, shown and drawn again."""

from __future__ import annotations

from typing import Any

from nasplug.app.components import open_run
from nasplug.app.run import PICTURE
from nasplug.app.terminal import show
from nasplug.contracts.errors import NasplugError


def main(cfg: Any) -> None:
    """Print the front of `cfg.run` and draw its picture."""
    if not cfg.run:
        raise NasplugError("mode=report needs the run's folder: run=runs/NAME")
    run = open_run(cfg.run, cfg.allow)
    run.plot_front()
    show(run)
    assert run.folder is not None
    print(run.folder / PICTURE)
