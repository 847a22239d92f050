"""What is measured of each architecture, kept in scores.csv."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug import Architecture, Measurement, full_trials, progress
from nasplug.contracts.types import FloatArray
from nasplug.toolkit.system.files import replacing

if TYPE_CHECKING:
    from nasplug import EvaluatorChain

REWRITE = 2.0
"""Seconds between two rewrites of the scores."""


class ScoreTable:
    """What is measured of each architecture, in scores.csv: `architecture` (JSON list of option
    indices), a column a metric, empty where there is no value, and `error`, why not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[Architecture, dict[str, float]] = {}
        self.errors: dict[Architecture, str] = {}
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    arch = tuple(json.loads(row.pop("architecture")))
                    self.errors[arch] = row.pop("error")
                    self.values[arch] = {name: float(x) for name, x in row.items() if x}

    def measure(
        self, chain: EvaluatorChain, archs: Sequence[Architecture], names: Sequence[str]
    ) -> None:
        """Measure what is not there yet; what failed before is tried again."""
        new = [a for a in archs if not set(names) <= set(self.values.get(a, {}))]
        written = time.monotonic()
        with progress(f"measuring {', '.join(names)}", max(len(new), 1)) as bar:
            for start in range(0, len(new), chain.preferred_batch):
                some = new[start : start + chain.preferred_batch]
                self._measure(chain, some, names)
                bar.advance(len(some))
                if time.monotonic() - written > REWRITE:
                    self.write()
                    written = time.monotonic()
        self.write()

    def _measure(
        self, chain: EvaluatorChain, archs: Sequence[Architecture], names: Sequence[str]
    ) -> None:
        """All that is missing at once; where that fails, one metric after the other."""
        missing = [n for n in names if any(n not in self.values.get(a, {}) for a in archs)]
        for arch, outcome in zip(archs, chain.evaluate(full_trials(archs), missing), strict=True):
            row, reasons = self.values.setdefault(arch, {}), []
            singly = [outcome]
            if not isinstance(outcome, Measurement):
                singly = [chain.evaluate(full_trials([arch]), [name])[0] for name in missing]
            for one in singly:
                if isinstance(one, Measurement):
                    row.update(one.values)
                else:
                    reasons.append(one.error)
            self.errors[arch] = "; ".join(reasons)

    def columns(self, archs: Sequence[Architecture], names: Sequence[str]) -> dict[str, FloatArray]:
        """The values of `archs`, name to shape (n,); NaN where there is none."""
        return {
            name: np.array([self.values[a].get(name, np.nan) for a in archs], float)
            for name in names
        }

    def write(self) -> None:
        """The whole file anew; a reader sees the old or the new."""
        names = list(dict.fromkeys(name for row in self.values.values() for name in row))
        rows: list[Mapping[str, Any]] = [
            {"architecture": json.dumps(arch), **row, "error": self.errors[arch]}
            for arch, row in self.values.items()
        ]
        write_rows(self.path, ["architecture", *names, "error"], rows)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV file, whole or as it was; what a row does not have is empty."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
