"""Run: a search's folder, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasplug.app.checks.arguments import as_pick, check_box, check_path
from nasplug.app.checks.limits import check_limits
from nasplug.app.files import results_csv
from nasplug.app.tested import TESTED, Tested
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import (
    Architecture,
    BoolArray,
    FloatArray,
    IntArray,
    Measurement,
    Record,
    Trial,
)
from nasplug.engine.front import Front, metric_values
from nasplug.engine.ledger import read_ledger
from nasplug.engine.records import RecordTable
from nasplug.toolkit.searching import pareto
from nasplug.toolkit.system.files import replacing

if TYPE_CHECKING:
    import pandas as pd

    from nasplug.contracts.evaluator import Evaluator

RESULTS, FRONT, PICTURE = "results.csv", "front.csv", "front.png"


class Run:
    """The results of a search: a view of its ledger, and the files in its folder, if it has one.

    `records` are the ledger's own, and what a search adds to them is seen here at once.
    `results.csv` has a row a measured architecture in the order asked, `front.csv` the measured
    Pareto set under the constraints, with the same columns: `number`, `status` (ok or failed), a
    column a metric, METRIC_std after it where some row has a std, `architecture` (JSON list of
    option indices), `config` (JSON, variable name to value), `seconds`, `error`. Where the task has test
    data, `front.csv` has METRIC_test besides: a metric on data that no search sees. What a metric says
    on validation data chose the front, and so flatters it; METRIC_test is what to expect.
    """

    def __init__(
        self,
        folder: Path | None,
        problem: Problem,
        evaluator: Evaluator,
        records: RecordTable | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        self.folder, self.problem, self.evaluator = folder, problem, evaluator
        self.columns = tuple(dict.fromkeys((*problem.metrics, *columns)))
        self._records = RecordTable(problem.space) if records is None else records
        self._front = Front(problem, self._records)
        self._front_written: object = None
        self.tested = Tested(None if folder is None else folder / TESTED)
        if folder is not None:
            self._results = results_csv.Results(folder / RESULTS, problem.space, self.columns)

    # ---- what was found ------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many architectures were measured, or failed."""
        return len(self._records)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return len(self._records.errors)

    @property
    def records(self) -> list[Record]:
        """Everything measured, in the order asked."""
        return [self._records.record(row) for row in self._records.order().tolist()]

    def losses(self) -> FloatArray:
        """The objectives of `records`, to be minimised, shape (n, objectives); NaN rows failed."""
        return self._losses(self._records.order())

    def losses_since(self, n: int) -> FloatArray:
        """The same of what arrived after the first `n`, in order of arrival."""
        return self._losses(np.arange(n, len(self)))

    def _losses(self, rows: IntArray) -> FloatArray:
        return self.problem.losses(metric_values(self.problem, self._records, rows))

    def front_mask(self) -> BoolArray:
        """Which of `records` are the measured Pareto set under the constraints, shape (n,)."""
        return np.isin(self._records.order(), self.measured_front().rows)

    def measured_front(self) -> Front:
        """The measured Pareto set as it is now, kept from one call to the next."""
        self._front.update()
        return self._front

    def table(self) -> pd.DataFrame:
        """What `results.csv` holds."""
        return self._frame(self._records.order())

    def metrics_table(self) -> pd.DataFrame:
        """The same without `architecture` and `config`, which take most of the time."""
        return self._frame(self._records.order(), without=("architecture", "config"))

    def front(self) -> pd.DataFrame:
        """What `front.csv` holds, sorted by the last objective, its lowest first."""
        rows, space = self._front_rows(), self.problem.space
        return results_csv.frame(self._records, space, self.columns, rows, tests=self._tests(rows))

    def front_architectures(self) -> list[Architecture]:
        """Those of `front`, in its order."""
        return self._architectures(self._front_rows())

    def _architectures(self, rows: IntArray) -> list[Architecture]:
        return [tuple(arch) for arch in self._records.archs(rows).tolist()]

    def _tests(self, rows: IntArray) -> results_csv.Tests:
        return self.tested.columns(self.columns, self._architectures(rows))

    def _front_rows(self) -> IntArray:
        rows = self.measured_front().rows
        last = self._records.values(self.problem.objectives[-1].name, rows)
        return rows[np.argsort(last, kind="stable")]

    def _frame(self, rows: IntArray, without: Sequence[str] = ()) -> pd.DataFrame:
        space = self.problem.space
        return results_csv.frame(self._records, space, self.columns, rows, without)

    def hypervolume(self, reference: Mapping[str, float], ideal: Mapping[str, float]) -> float:
        """The share of the box between `ideal` and `reference` (metric name to value) that the
        measured front dominates."""
        check_box(self, reference, ideal)
        signs = {o.name: o.sign for o in self.problem.objectives}
        low = np.array([ideal[name] * sign for name, sign in signs.items()], float)
        high = np.array([reference[name] * sign for name, sign in signs.items()], float)
        return pareto.hypervolume(self.measured_front().losses, high, low)

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
        chosen = as_pick(self, pick)
        check_limits("under", under)
        if isinstance(chosen, tuple):
            return self._measured(chosen)
        if isinstance(chosen, int) or chosen.isdigit():
            rows = np.flatnonzero(self._records.numbers() == int(chosen))
            if not len(rows):
                raise NasplugError(
                    f"pick must be a measured number below {len(self)}, got {chosen}"
                )
            return self._records.record(int(rows[0]))
        front = self.measured_front()
        kept = [
            i
            for i, row in enumerate(front.rows.tolist())
            if self._keeps(self._records.record(row), under or {})
        ]
        if not kept:
            raise NasplugError("no architecture on the front keeps the limits; loosen `under`")
        losses, names = front.losses[kept], [o.name for o in self.problem.objectives]
        if chosen == "knee":
            best = pareto.knee(losses)
        elif chosen in names:
            best = int(np.argmin(losses[:, names.index(chosen)]))
        else:
            raise unknown("pick", chosen, ["knee", "a row's number", *names])
        return self._records.record(int(front.rows[kept[best]]))

    def _measured(self, arch: Architecture) -> Record:
        if len(arch) != len(self.problem.space.variables) or Trial(arch) not in self._records:
            raise NasplugError(
                f"pick must be an architecture of this run, but {arch} was not measured"
            )
        return self._records.record(self._records.row(Trial(arch)))

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
        test: bool = True,
    ) -> Path:
        """Write a measured network, stand-alone with its weights; returns its folder. See `load`.

        Its description says what it reaches on test data, measured now if need be and if `test`.
        """
        from nasplug.app.files.export import write

        record = self.best(pick, under)
        if path is not None:
            check_path("path", path)
        if path is None and self.folder is None:
            raise NasplugError("a run without a folder needs `path`, where the network goes")
        target = Path(path) if path else (self.folder or Path()) / "export" / str(record.number)
        return write(self, record, target, format, test)

    # ---- files -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Bring `results.csv` and `front.csv` up to date, each whole at any moment."""
        if self.folder is None:
            return
        self._results.write(self._records)
        path, space = self.folder / FRONT, self.problem.space
        names = results_csv.header(self._records, self.columns)
        state = (names, self.measured_front().changes, self.tested.changes)
        if state != self._front_written or not path.exists():
            rows = self._front_rows()
            tests = self._tests(rows)
            results_csv.write(path, self._records, space, self.columns, rows, tests)
            self._front_written = state

    def plot_front(self) -> None:
        """Write `front.png`."""
        from nasplug.app.front_plot import plot_front

        if self.folder is not None and len(self.problem.objectives) > 1:
            with replacing(self.folder / PICTURE) as temporary:
                plot_front(self, temporary)


def read_records(folder: Path, space: SearchSpace, columns: Sequence[str]) -> RecordTable:
    """What a run's ledger holds, a search at work or not; where the ledger is in a storage that
    others share, what its results.csv shows."""
    found = read_ledger(folder, space)
    if found is None and (folder / RESULTS).is_file():
        found = results_csv.parse(folder / RESULTS, space, columns)
    if found is None:
        raise NasplugError(f"{folder} must hold measurements, but the run has measured nothing yet")
    return found
