"""mode=search: build the parts that a configuration describes, search, and show the front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasplug.app.command_line.stopping import orderly
from nasplug.app.components import assemble
from nasplug.app.run import Run
from nasplug.app.search import search
from nasplug.app.sweeps import mark
from nasplug.app.terminal import conclude


def main(cfg: Any) -> Run:
    """Build the parts that `cfg` describes, search, and show the front."""
    parts = assemble(cfg)
    folder = Path(parts.folder)
    line = f"stopped. What was measured is safe in {folder}; to go on, run the same command again"
    with orderly(line):
        run = search(
            parts.space,
            parts.evaluator,
            parts.strategy,
            parts.objectives,
            cfg.budget,
            constraints=parts.constraints,
            also=list(cfg.also),
            task=parts.task,
            seed=cfg.seed,
            executor=parts.executor,
            run=folder,
            storage=cfg.storage,
            config=parts.config,
            test=cfg.test,
        )
    if cfg.job:
        mark(Path(cfg.job), folder)
    conclude(run)
    return run
