"""results.csv and front.csv: views of the ledger, written and read here alone.

A row a measured architecture, in the order asked: `number`, `status` (ok or failed), a column a
metric (empty where it was not measured), after it METRIC_std where any row has a std, `fidelity` and
`repeat` where any row is not the first full evaluation of its architecture,
`architecture` (JSON list of option indices), `config` (JSON, variable name to value), `seconds`,
`error`. front.csv has METRIC_test behind the metrics where its networks were tested. Text of a row is
made once while a search runs: the next file begins with the bytes of the last.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture, IntArray, Trial
from nasplug.engine.records import NOTHING, RecordTable
from nasplug.toolkit.system.files import copy, replacing

if TYPE_CHECKING:
    import pandas as pd

MANY = 1000
"""Rows that are turned into text at a time."""
FIXED = ("number", "status", "architecture", "config", "seconds", "error")
STD = "_std"
Tests = Mapping[str, Mapping[Architecture, float]]
"""The columns of values on test data, which front.csv alone has: name to architecture to value."""
NO_TESTS: Tests = {}


def header(table: RecordTable, columns: Sequence[str], tests: Tests = NO_TESTS) -> list[str]:
    """The names of the columns, in order; `columns` are the metrics."""
    known = table.with_std()
    metrics = [
        name
        for metric in columns
        for name in (metric, *([metric + STD] if metric in known else ()))
        if name == metric or name not in columns
    ]
    partial = ["fidelity", "repeat"] if table.partial else []
    return [*FIXED[:2], *partial, *metrics, *tests, *FIXED[2:]]


def frame(
    table: RecordTable,
    space: SearchSpace,
    columns: Sequence[str],
    rows: IntArray,
    without: Sequence[str] = (),
    tests: Tests = NO_TESTS,
) -> pd.DataFrame:
    """`rows` of the table, as pandas has them; a number that is missing is NaN."""
    import pandas as pd

    names = [name for name in header(table, columns, tests) if name not in without]
    cells = _cells(table, space, columns, names, rows, tests)
    return pd.DataFrame(dict(zip(names, cells, strict=True)))


def write(
    path: Path,
    table: RecordTable,
    space: SearchSpace,
    columns: Sequence[str],
    rows: IntArray,
    tests: Tests = NO_TESTS,
) -> None:
    """A file of `rows`, whole at any moment."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_line(header(table, columns, tests)))
        file.writelines(_lines(table, space, columns, rows, tests))


@final
class Results:
    """Keeps results.csv up with a table that grows: each whole file takes the place of the last."""

    def __init__(self, path: Path, space: SearchSpace, columns: Sequence[str]) -> None:
        self.path, self._space, self._columns = path, space, columns
        self._written = _Written([], (0, 0, 0), 0, 0, 0, {})

    def write(self, table: RecordTable) -> None:
        """Bring the file up to date; nothing happens where it is."""
        names, last = header(table, self._columns), self._written
        if names != last.header or _signature(self.path) != last.signature:
            # the first file of this process, or with a std; or somebody else was at it
            last = _Written(names, (0, 0, 0), 0, 0, len(_line(names)), {})
        elif last.rows == len(table):
            return
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            if last.rows:
                with self.path.open("rb") as old:
                    copy(old, file, last.size)
            else:
                file.write(_line(names))
            rows, ahead = np.arange(last.rows, len(table)), dict(last.ahead)
            number, size = last.number, last.size
            lines = _lines(table, self._space, self._columns, rows)
            for place, line in zip(table.numbers(rows).tolist(), lines, strict=True):
                ahead[place] = line
                while number in ahead:
                    size += file.write(ahead.pop(number))
                    number += 1
            file.writelines(ahead[place] for place in sorted(ahead))
        signature = _signature(self.path)
        self._written = _Written(names, signature, len(table), number, size, ahead)


class _Written(NamedTuple):
    """What the file holds."""

    header: list[str]
    signature: tuple[int, int, int]
    rows: int
    """How many rows of the table."""

    number: int
    """The first number that was not yet known: the text before it stays as it is."""

    size: int
    """How many bytes that is."""

    ahead: dict[int, bytes]
    """Number to text of the rows after it."""


def _signature(path: Path) -> tuple[int, int, int]:
    """Tells whether somebody else wrote the file, or removed it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


# ---- text ----------------------------------------------------------------------------------------


def _cells(
    table: RecordTable,
    space: SearchSpace,
    columns: Sequence[str],
    names: Sequence[str],
    rows: IntArray,
    tests: Tests,
) -> list[list[Any]]:
    """The columns `names` of `rows`; `columns` are the metrics."""
    archs, errors = table.archs(rows), [table.errors.get(row) for row in rows.tolist()]
    known: dict[str, Any] = {
        "number": lambda: table.numbers(rows).tolist(),
        "status": lambda: ["ok" if error is None else "failed" for error in errors],
        "architecture": lambda: [str(arch) for arch in archs.tolist()],
        "config": lambda: _configs(space, archs),
        "fidelity": lambda: table.fidelities(rows).tolist(),
        "repeat": lambda: table.repeats(rows).tolist(),
        "seconds": lambda: table.seconds(rows).round(4).tolist(),
        "error": lambda: [_clean(error or "") for error in errors],
    }
    for name in tests:
        known[name] = partial(_tested, tests[name], archs)
    return [
        known[name]()
        if name in known
        else table.values(name, rows).tolist()
        if name in columns
        else table.std(name.removesuffix(STD), rows).tolist()
        for name in names
    ]


def _tested(values: Mapping[Architecture, float], archs: IntArray) -> list[float]:
    return [values.get(tuple(arch), np.nan) for arch in archs.tolist()]


def _configs(space: SearchSpace, archs: IntArray) -> list[str]:
    """`space.config` of each, as JSON; joined from its parts where the space has no words of its own."""
    own = any(getattr(type(space), n) is not getattr(SearchSpace, n) for n in ("config", "options"))
    if own:
        return [json.dumps(space.config(tuple(arch))) for arch in archs.tolist()]
    parts = [
        [f"{json.dumps(v.name)}: {json.dumps(option)}" for option in v.options]
        for v in space.variables
    ]
    return [
        f"{{{', '.join(p[g] for p, g, a in zip(parts, arch, on, strict=True) if a)}}}"
        for arch, on in zip(archs.tolist(), space.active(archs).tolist(), strict=True)
    ]


def _clean(error: str) -> str:
    """In one line, for readers of CSV that know no other."""
    return " ".join(error.replace("\0", " ").split())


def _lines(
    table: RecordTable,
    space: SearchSpace,
    columns: Sequence[str],
    rows: IntArray,
    tests: Tests = NO_TESTS,
) -> Iterator[bytes]:
    """The text of each row; thousands at a time, of which no more is kept."""
    names = header(table, columns, tests)
    for start in range(0, len(rows), MANY):
        some = _cells(table, space, columns, names, rows[start : start + MANY], tests)
        for cells in zip(*some, strict=True):
            yield _line(["" if cell != cell else cell for cell in cells])


def _line(cells: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


# ---- the way back --------------------------------------------------------------------------------


def parse(path: Path, space: SearchSpace, columns: Sequence[str]) -> RecordTable:
    """The records that a results.csv shows."""
    table = RecordTable(space)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                ok = row["status"] == "ok"
                values = {n: float(row[n]) for n in columns if row.get(n)} if ok else NOTHING
                std = {n: float(row[n + STD]) for n in columns if row.get(n + STD)}
                table.append(
                    int(row["number"]), _trial(row), float(row["seconds"]),
                    values, std if ok else NOTHING, None if ok else row["error"],
                )  # fmt: skip
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise NasplugError(
            f"{path} must be as a search wrote it, but is damaged ({error})"
        ) from None
    return table


def _trial(row: Mapping[str, str]) -> Trial:
    arch = tuple(json.loads(row["architecture"]))
    return Trial(arch, float(row.get("fidelity") or 1), int(row.get("repeat") or 0))
