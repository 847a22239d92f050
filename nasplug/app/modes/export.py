"""mode=export: write a measured network, stand-alone with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasplug.app.components import open_run
from nasplug.contracts.errors import NasplugError


def main(cfg: Any) -> Path:
    """Export `cfg.pick` of `cfg.run`, and print where it went."""
    from omegaconf import OmegaConf

    if not cfg.run:
        raise NasplugError("mode=export needs the run's folder: run=runs/NAME")
    under: Any = OmegaConf.to_container(cfg.under)
    run = open_run(cfg.run, cfg.allow)
    folder = run.export(str(cfg.pick), cfg.to, cfg.format, under, cfg.test)
    print(folder)
    return folder
