"""Records in columns: a million of them in memory, and any column at once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from operator import ge, index
from typing import Any, final

import numpy as np

from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import (
    Failure,
    FloatArray,
    IntArray,
    Measurement,
    Record,
    Trial,
)

NOTHING: Mapping[str, float] = {}
ALL = slice(None)


@final
class RecordTable:
    """The records of a search in order of arrival, a row each; rows are added and never change.

    Filled by the ledger, read by the run: a row of 45 variables and 2 metrics takes about 300 bytes,
    where a `Record` takes 1,200. Metrics are columns of float, NaN where not measured. An
    architecture that is added again is left as it was.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._counts = [len(v.options) for v in space.variables]
        self._width, most = len(self._counts), max(self._counts, default=1)
        self._code = "B" if most <= 2**8 else "H" if most <= 2**16 else "L"
        self._rows: dict[bytes, int] = {}
        self._archs = array(self._code)
        self._numbers, self._seconds = array("q"), array("d")
        self._values: dict[str, array[float]] = {}
        self._std: dict[str, array[float]] = {}
        self._load: dict[str, array[float]] = {}  # one column at most: where times were measured
        self.errors: dict[int, str] = {}
        """Row to reason, of those that failed."""

        self.partial: dict[int, tuple[float, int]] = {}
        """Row to fidelity and repeat, of those that are not the first full evaluation."""

        self._in_order = True

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, trial: Trial) -> bool:
        return self._key(*trial) in self._rows

    def _key(self, arch: Sequence[int], fidelity: float, repeat: int) -> bytes:
        key = array(self._code, arch).tobytes()
        return key if fidelity == 1 and not repeat else key + repr((fidelity, repeat)).encode()

    # ---- filling -------------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """One more record."""
        outcome = record.outcome
        values, std, error, load = NOTHING, NOTHING, None, None
        if isinstance(outcome, Measurement):
            values, std, load = outcome.values, outcome.std, outcome.load
        else:
            error = outcome.error
        self.append(record.number, record.trial, outcome.seconds, values, std, error, load)

    def append(
        self,
        number: int,
        trial: Trial,
        seconds: float,
        values: Mapping[str, Any],
        std: Mapping[str, Any],
        error: str | None,
        load: float | None = None,
    ) -> None:
        """One more record, in parts; ValueError unless the architecture is one of the space."""
        arch = trial.arch
        if len(arch) != self._width or any(map(ge, arch, self._counts)):
            raise ValueError("its architecture is not one of this space")
        number, seconds = index(number), float(seconds)
        row, key = len(self._numbers), self._key(*trial)
        if self._rows.setdefault(key, row) != row:
            return
        self._in_order = self._in_order and (not row or number > self._numbers[-1])
        self._archs.extend(arch)
        if trial.fidelity != 1 or trial.repeat:
            self.partial[row] = (trial.fidelity, trial.repeat)
        self._seconds.append(seconds)
        _fill(self._values, values, row)
        if std or self._std:
            _fill(self._std, std, row)
        if load is not None or self._load:
            _fill(self._load, {"load": load}, row)
        if error is not None:
            self.errors[row] = error
        self._numbers.append(number)  # last: a row that Ctrl-C left unfinished is not counted

    # ---- one row -------------------------------------------------------------------------------

    def row(self, trial: Trial) -> int:
        """Where `trial` is; KeyError if it is not."""
        return self._rows[self._key(*trial)]

    def record(self, row: int) -> Record:
        """The record in a row."""
        arch = tuple(self._archs[row * self._width : (row + 1) * self._width])
        trial = Trial(arch, *self.partial.get(row, ()))
        seconds = self._seconds[row]
        if row in self.errors:
            return Record(self._numbers[row], trial, Failure(self.errors[row], seconds))
        values, std = _at(self._values, row), _at(self._std, row)
        load = _at(self._load, row).get("load")
        return Record(self._numbers[row], trial, Measurement(values, seconds, std, load))

    # ---- many rows -----------------------------------------------------------------------------

    def order(self) -> IntArray:
        """All rows, those of lower numbers first."""
        return np.arange(len(self)) if self._in_order else np.argsort(self.numbers())

    def numbers(self, rows: IntArray | slice = ALL) -> IntArray:
        """The place in the order asked, of each of `rows`."""
        return np.array(self._view(self._numbers)[rows], np.int64)

    def archs(self, rows: IntArray | slice = ALL) -> IntArray:
        """The architectures of `rows`, shape (n, v)."""
        flat = np.asarray(memoryview(self._archs)[: len(self) * self._width])
        return flat.reshape(len(self), self._width)[rows].astype(np.int64)

    def fidelities(self, rows: IntArray | slice = ALL) -> FloatArray:
        """The share of a full evaluation that each of `rows` was measured with."""
        found = np.ones(len(self))
        for row, (fidelity, _) in self.partial.items():
            found[row] = fidelity
        return found[rows]

    def repeats(self, rows: IntArray | slice = ALL) -> IntArray:
        """How often the same trial had been measured before each of `rows`."""
        found = np.zeros(len(self), np.int64)
        for row, (_, repeat) in self.partial.items():
            found[row] = repeat
        return found[rows]

    def values(self, name: str, rows: IntArray | slice = ALL) -> FloatArray:
        """A metric of `rows`, NaN where it was not measured."""
        return self._column(self._values, name, rows)

    def std(self, name: str, rows: IntArray | slice = ALL) -> FloatArray:
        """The uncertainty of a metric of `rows`, NaN where it is not known."""
        return self._column(self._std, name, rows)

    def with_std(self) -> set[str]:
        """The metrics of which some row has a std."""
        return set(self._std)

    def seconds(self, rows: IntArray | slice = ALL) -> FloatArray:
        """What the measurement of each of `rows` took."""
        return np.array(self._view(self._seconds)[rows], float)

    def _column(
        self, columns: Mapping[str, array[float]], name: str, rows: IntArray | slice
    ) -> FloatArray:
        if name not in columns:
            return np.full(len(np.arange(len(self))[rows]), np.nan)
        return np.array(self._view(columns[name])[rows], float)

    def _view(self, column: array[Any]) -> np.ndarray:
        """Without a copy, so not to be kept: an array cannot grow while it is looked at."""
        return np.asarray(memoryview(column)[: len(self)])


def _fill(columns: dict[str, array[float]], values: Mapping[str, Any], row: int) -> None:
    """Add `row` to all columns, NaN in those that have no number in it."""
    for name in values:
        if name not in columns:
            columns[name] = array("d", [np.nan]) * row
    for name, column in columns.items():
        column.append(_number(values.get(name)))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _at(columns: Mapping[str, array[float]], row: int) -> dict[str, float]:
    found = {name: column[row] for name, column in columns.items()}
    return {name: value for name, value in found.items() if value == value}
