"""The evaluator of recorded measurements: a table of architectures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from nasplug import Evaluator, Failure, Measurement, Metric, NasplugError, SearchSpace, unknown
from nasplug.types import Architecture, Direction, Outcome

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("architecture", "config", "arch")
"""Columns that may hold the architecture, the first found counts."""

SMALLER = ("latency", "params", "macs", "flops", "loss", "seconds", "energy")
"""Metrics of which less is better where the user does not say."""


@runtime_checkable
class Written(Protocol):
    """A space with a notation of its own."""

    def parse(self, text: str) -> Architecture:
        """The architecture that `text` writes."""


class Table(Evaluator):
    """Looks metrics up in a CSV or parquet file, one row an architecture; nothing is trained.

    The architecture is in the column `key`, else in the first there is of `architecture`, `config`
    and `arch`: as a JSON list of option indices or a JSON object of variables, as in `results.csv`,
    or in the space's own notation. Or there is one column a design variable, with its values.

    Every other column of numbers is a metric of its own name; an empty cell is not measured. Of
    latency, params, macs, flops, loss, seconds and energy less is better, of others more, unless
    `minimize` lists the columns of which less is better. `units` maps columns to units. `where`
    takes only the rows with these values, e.g. {task: cifar10}. `duplicates` says what to do where
    several rows are one architecture: error, first, or mean.
    """

    chunk = 64

    def __init__(
        self,
        space: SearchSpace,
        path: str | None = None,
        key: str | None = None,
        minimize: list[str] | None = None,
        units: dict[str, str] | None = None,
        where: dict[str, Any] | None = None,
        duplicates: str = "error",
    ) -> None:
        if duplicates not in ("error", "first", "mean"):
            raise unknown("treatment of duplicates", duplicates, ("error", "first", "mean"))
        self.space = space
        self.path = path
        self.key = key
        self.minimize = minimize
        self.units = units
        self.where = where
        self.duplicates = duplicates

    def __getstate__(self) -> dict[str, Any]:
        """Without the rows, which are read again where they are needed."""
        return {k: v for k, v in vars(self).items() if k not in ("_rows", "_frame")}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The columns of numbers, in their order; none without a path."""
        if self.path is None:
            return {}
        keys = self._keys()
        columns = [
            str(name)
            for name in self._frame.select_dtypes("number").columns
            if name not in keys and not str(name).startswith("Unnamed")
        ]
        known = SMALLER if self.minimize is None else tuple(self.minimize)
        for name in (*(self.minimize or ()), *(self.units or ())):
            if name not in columns:
                raise unknown(f"column of numbers of {self.path}", name, columns)
        return {
            name: Metric((self.units or {}).get(name, ""), _way(name, known)) for name in columns
        }

    def evaluate(self, archs: Sequence[Architecture], names: Sequence[str]) -> list[Outcome]:
        """The row of every architecture; a Failure where there is none, or an empty cell."""
        return [self._outcome(tuple(arch), names) for arch in archs]

    def _outcome(self, arch: Architecture, names: Sequence[str]) -> Outcome:
        row = self._rows.get(arch)
        if row is None:
            return Failure(f"{self.path} has no row for {self.space.config(arch)}")
        for name in names:
            if row[name] != row[name]:
                return Failure(f"{self.path} has no {name} for {self.space.config(arch)}")
        return Measurement({name: float(row[name]) for name in names})

    @cached_property
    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        path = Path(str(self.path))
        if not path.is_file():
            raise NasplugError(
                f"evaluator.path must be a CSV or parquet file of measurements, but {path} is none"
            )
        parquet = ".parquet" in path.suffixes
        frame = pd.read_parquet(path) if parquet else pd.read_csv(path)
        for column, value in (self.where or {}).items():
            if column not in frame:
                raise unknown(f"column of {path}", column, frame.columns)
            frame = frame[frame[column] == value]
            if not len(frame):
                raise NasplugError(
                    f"{path} must have rows whose {column} is {value!r}, but has none"
                )
        return frame.reset_index(drop=True)

    def _keys(self) -> list[str]:
        """The columns that say which architecture a row is."""
        columns = list(self._frame.columns)
        if self.key is not None:
            if self.key not in columns:
                raise unknown(f"column of {self.path}", self.key, columns)
            return [self.key]
        for name in KEYS:
            if name in columns:
                return [name]
        names = [v.name for v in self.space.variables]
        if set(names) <= set(columns):
            return names
        raise NasplugError(
            f"{self.path} must have a column {', '.join(KEYS)} or one a design variable "
            f"({', '.join(names[:3])}, ..), but has {', '.join(map(str, columns))}; name it: "
            "evaluator.key=COLUMN"
        )

    @cached_property
    def _rows(self) -> Mapping[Architecture, Mapping[str, float]]:
        keys, names = self._keys(), list(self.metrics)
        archs = [
            self._read(number, cells)
            for number, cells in enumerate(self._frame[keys].to_dict("records"), start=2)
        ]
        distinct = dict.fromkeys(archs)
        places = {arch: place for place, arch in enumerate(distinct)}
        if self.duplicates == "error" and len(distinct) < len(archs):
            again = next(a for n, a in enumerate(archs) if a in archs[:n])
            raise NasplugError(
                f"{self.path} must have one row an architecture, but "
                f"{len(archs) - len(distinct)} rows repeat one, the first "
                f"{self.space.config(again)}; take evaluator.duplicates=first or mean"
            )
        groups = self._frame[names].groupby(np.array([places[arch] for arch in archs]))
        table = (groups.first() if self.duplicates == "first" else groups.mean()).to_numpy(float)
        return {
            a: dict(zip(names, row, strict=True)) for a, row in zip(distinct, table, strict=True)
        }

    def _read(self, number: int, cells: Mapping[Any, Any]) -> Architecture:
        """The architecture of the line `number` of the file."""
        try:
            if len(cells) > 1:
                return self.space.arch({str(k): v for k, v in cells.items()})
            (text,) = map(str, cells.values())
            if text[:1] in ("[", "{"):
                return self._json(json.loads(text))
            if isinstance(self.space, Written):
                return self.space.parse(text)
            raise NasplugError(f"{text!r} is neither a JSON list nor a JSON object")
        except (NasplugError, ValueError) as error:
            raise NasplugError(f"{self.path}, line {number}: {error}") from None

    def _json(self, value: Any) -> Architecture:
        if isinstance(value, dict):
            return self.space.arch(value)
        variables = self.space.variables
        fits = len(value) == len(variables) and all(
            isinstance(i, int) and 0 <= i < len(v.options)
            for i, v in zip(value, variables, strict=False)
        )
        if not fits:
            raise NasplugError(f"{value} must be {len(variables)} option indices")
        if not (arch := self.space.valid([tuple(value)])):
            raise NasplugError(f"{value} is not a valid architecture of this space")
        return arch[0]


def _way(name: str, smaller: Sequence[str]) -> Direction:
    return "minimize" if name in smaller else "maximize"
