"""mode=train: the long work that measurements share (a super-network), done now."""

from __future__ import annotations

from typing import Any

from nasplug.app.components import measuring
from nasplug.app.stopping import orderly


def main(cfg: Any) -> None:
    """Prepare the main evaluator of `cfg`, such as training its super-network; nothing is searched."""
    with orderly("stopped before the training was done; run the same command again"):
        measuring(cfg).evaluator.evaluators[0].prepare()
