"""mode=report: a run's front, shown and drawn again."""

from __future__ import annotations

from typing import Any

from nasplug.assembly import open_run
from nasplug.errors import NasplugError
from nasplug.run import PICTURE
from nasplug.terminal import show


def main(cfg: Any) -> None:
    """Print the front of `cfg.run` and draw its picture."""
    if not cfg.run:
        raise NasplugError("mode=report needs the run's folder: run=runs/NAME")
    run = open_run(cfg.run)
    run.draw()
    show(run)
    assert run.folder is not None
    print(run.folder / PICTURE)
