"""Run: a search's folder, and what it found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.app.arguments import as_pick, check_box, check_path
from nasplug.app.limits import check_limits
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import Architecture, FloatArray, Measurement, Record
from nasplug.toolkit import pareto

if TYPE_CHECKING:
    import pandas as pd

    from nasplug.contracts.evaluator import Evaluator

RESULTS, FRONT, PICTURE = "results.csv", "front.csv", "front.png"


class Run:
    """The results of a search, in memory and, unless `folder` is None, in its folder.

    `results.csv` has a row a measured architecture in the order asked, `front.csv` the measured
    Pareto set under the constraints, with the same columns: `number`, `status` (ok or failed), a
    column a metric, `architecture` (JSON list of option indices), `config` (JSON, variable name to
    value), `seconds`, `error`.
    """

    def __init__(
        self,
        folder: Path | None,
        problem: Problem,
        evaluator: Evaluator,
        records: Sequence[Record] = (),
        columns: Sequence[str] = (),
    ) -> None:
        self.folder, self.problem, self.evaluator = folder, problem, evaluator
        self.columns = tuple(dict.fromkeys((*problem.metrics, *columns)))
        self._records = {record.number: record for record in records}

    # ---- what was found ------------------------------------------------------------------------

    @property
    def records(self) -> list[Record]:
        """Everything measured, in the order asked."""
        return [self._records[number] for number in sorted(self._records)]

    def add(self, record: Record) -> None:
        """One more outcome."""
        self._records[record.number] = record

    def losses(self) -> FloatArray:
        """The objectives of `records`, to be minimised, shape (n, objectives); NaN rows failed."""
        return self.problem.losses(self._values())

    def front_mask(self) -> np.ndarray:
        """Which of `records` are the measured Pareto set under the constraints, shape (n,)."""
        values = self._values()
        return pareto.nondominated(self.problem.losses(values), self.problem.violation(values))

    def _values(self) -> FloatArray:
        rows = np.full((len(self._records), len(self.problem.metrics)), np.nan)
        for row, record in zip(rows, self.records, strict=True):
            if isinstance(record.outcome, Measurement):
                row[:] = [record.outcome.values[name] for name in self.problem.metrics]
        return rows

    def table(self) -> pd.DataFrame:
        """What `results.csv` holds."""
        import pandas as pd

        return pd.DataFrame([self._row(record) for record in self.records], columns=self._header)

    def front(self) -> pd.DataFrame:
        """What `front.csv` holds, sorted by the last objective, its lowest first."""
        front = self.table()[self.front_mask()]
        return front.sort_values(self.problem.objectives[-1].name, ignore_index=True)

    @cached_property
    def _header(self) -> list[str]:
        return ["number", "status", *self.columns, "architecture", "config", "seconds", "error"]

    def _row(self, record: Record) -> dict[str, Any]:
        done = isinstance(record.outcome, Measurement)
        return {
            "number": record.number,
            "status": "ok" if done else "failed",
            **(record.outcome.values if isinstance(record.outcome, Measurement) else {}),
            "architecture": json.dumps(record.arch),
            "config": json.dumps(self.problem.space.config(record.arch)),
            "seconds": round(record.outcome.seconds, 4),
            "error": "" if isinstance(record.outcome, Measurement) else record.outcome.error,
        }

    def hypervolume(self, reference: Mapping[str, float], ideal: Mapping[str, float]) -> float:
        """The share of the box between `ideal` and `reference` (metric name to value) that the
        measured front dominates."""
        check_box(self, reference, ideal)
        signs = {o.name: o.sign for o in self.problem.objectives}
        low = np.array([ideal[name] * sign for name, sign in signs.items()], float)
        high = np.array([reference[name] * sign for name, sign in signs.items()], float)
        return pareto.hypervolume(self.losses()[self.front_mask()], high, low)

    # ---- picking one -----------------------------------------------------------------------------

    def best(
        self,
        pick: str | int | Architecture | Record = "knee",
        under: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Record:
        """One measured architecture.

        `pick` is "knee" (the front's best compromise), the name of an objective (its best), a number
        (of that row of results.csv), or the architecture itself. `under` limits the choice to rows
        that keep it: `under={"macs": {"max": 3e6}}`.
        """
        pick = as_pick(self, pick)
        check_limits("under", under)
        records = self.records
        if isinstance(pick, tuple):
            return self._measured(pick)
        if isinstance(pick, int) or pick.isdigit():
            if int(pick) not in self._records:
                raise NasplugError(
                    f"pick must be a measured number below {len(records)}, got {pick}"
                )
            return self._records[int(pick)]
        rows = [
            i for i in np.flatnonzero(self.front_mask()) if self._keeps(records[i], under or {})
        ]
        if not rows:
            raise NasplugError("no architecture on the front keeps the limits; loosen `under`")
        losses = self.losses()[rows]
        if pick == "knee":
            return records[rows[pareto.knee(losses)]]
        names = [o.name for o in self.problem.objectives]
        if pick not in names:
            raise unknown("pick", pick, ["knee", "a row's number", *names])
        return records[rows[int(np.argmin(losses[:, names.index(pick)]))]]

    def _measured(self, arch: Architecture) -> Record:
        record = next((r for r in self.records if r.arch == arch), None)
        if record is None:
            raise NasplugError(
                f"pick must be an architecture of this run, but {arch} was not measured"
            )
        return record

    def _keeps(self, record: Record, under: Mapping[str, Mapping[str, float]]) -> bool:
        assert isinstance(record.outcome, Measurement)
        for name, limits in under.items():
            if name not in record.outcome.values:
                raise unknown("metric in `under`", name, record.outcome.values)
            value = record.outcome.values[name]
            if not limits.get("min", -np.inf) <= value <= limits.get("max", np.inf):
                return False
        return True

    def export(
        self,
        pick: str | int | Architecture | Record = "knee",
        path: str | Path | None = None,
        format: str = "safetensors",
        under: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Path:
        """Write a measured network, stand-alone with its weights; returns its folder. See `load`."""
        from nasplug.app.export import write

        record = self.best(pick, under)
        if path is not None:
            check_path("path", path)
        if path is None and self.folder is None:
            raise NasplugError("a run without a folder needs `path`, where the network goes")
        target = Path(path) if path else (self.folder or Path()) / "export" / str(record.number)
        return write(self, record, target, format)

    # ---- files -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Rewrite `results.csv` and `front.csv`, each whole at any moment."""
        if self.folder is not None:
            _replace(self.folder / RESULTS, self.table())
            _replace(self.folder / FRONT, self.front())

    def plot_front(self) -> None:
        """Write `front.png`."""
        from nasplug.app.front_plot import plot_front

        if self.folder is not None and len(self.problem.objectives) > 1:
            plot_front(self, self.folder / PICTURE)


def _replace(path: Path, table: pd.DataFrame) -> None:
    part = path.with_suffix(".part")
    table.to_csv(part, index=False)
    os.replace(part, path)
