"""From a data frame of measurements to the rows of a space's architectures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug import NasplugError, SearchSpace, unknown
from nasplug.contracts.capabilities import WrittenSpace
from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug_tables.readers.opening import reason, shortened

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("architecture", "config", "arch")
"""Columns that may hold the architecture, the first found counts."""

Rows = Mapping[Architecture, Mapping[str, float]]


@dataclass(frozen=True)
class Reading:
    """How the rows of one file are read.

    name: the file's name, for errors.  key: the column with the architecture, None to look for it.
    duplicates: error, first or mean.
    """

    space: SearchSpace
    name: str
    key: str | None
    duplicates: str

    def metrics(self, frame: pd.DataFrame) -> list[str]:
        """Names of the numeric columns that are not part of the architecture."""
        keys = self._keys(frame)
        return [
            str(name)
            for name in frame.select_dtypes("number", exclude=["timedelta"]).columns
            if name not in keys and not str(name).startswith("Unnamed")
        ]

    def words(self, frame: pd.DataFrame) -> dict[str, str]:
        """Columns that are not numeric because of a minority of words: name to the first such word."""
        import pandas as pd

        found = {}
        for name in frame.select_dtypes(exclude=["number", "bool", "timedelta"]).columns:
            cells = frame[name].dropna()
            odd = pd.to_numeric(cells, errors="coerce").isna()
            if name not in self._keys(frame) and 0 < odd.sum() < len(cells) / 2:
                line, cell = cells.index[odd.to_numpy()][0] + 2, cells[odd].iloc[0]
                found[str(name)] = f"{shortened(str(cell))!r} in line {line}"
        return found

    def rows(self, frame: pd.DataFrame) -> Rows:
        """Each architecture with its metrics; NaN where a cell is empty."""
        names = self.metrics(frame)
        cells = frame[self._keys(frame)].to_dict("records")
        lines = (frame.index + 2).tolist()
        archs = [self._read(line, record) for line, record in zip(lines, cells, strict=True)]
        places: dict[Architecture, int] = {}
        place = np.array([places.setdefault(arch, len(places)) for arch in archs])
        if self.duplicates == "error":
            self._agree(lines, place, frame[names].to_numpy(float, na_value=np.nan))
        groups = frame[names].groupby(place)
        table = groups.mean() if self.duplicates == "mean" else groups.first()
        values = table.to_numpy(float, na_value=np.nan)
        return {
            a: dict(zip(names, row, strict=True)) for a, row in zip(places, values, strict=True)
        }

    def _agree(self, lines: Sequence[int], place: IntArray, values: FloatArray) -> None:
        """Raise where rows of the same architecture differ; `place` is the number of the
        architecture of each row, shape (n,)."""
        _, first, group = np.unique(place, return_index=True, return_inverse=True)
        before = values[first[group]]
        same = (values == before) | (np.isnan(values) & np.isnan(before))
        if len(odd := np.flatnonzero(~same.all(axis=1))):
            raise NasplugError(
                f"{self.name} must have one row an architecture, or equal ones, but {len(odd)} rows "
                f"repeat one with other values, the first of them line {lines[odd[0]]}, of line "
                f"{lines[first[group[odd[0]]]]}; take evaluator.duplicates=first or mean"
            )

    def _keys(self, frame: pd.DataFrame) -> list[str]:
        """The columns that hold the architecture."""
        columns = list(map(str, frame.columns))
        if self.key is not None:
            if self.key not in columns:
                raise unknown(f"column of {self.name}", self.key, columns)
            return [self.key]
        for name in KEYS:
            if name in columns:
                return [name]
        names = [v.name for v in self.space.variables]
        if set(names) <= set(columns):
            return names
        raise NasplugError(
            f"{self.name} must have a column {', '.join(KEYS)} or one a design variable "
            f"({', '.join(names[:3])}, ..), but has {shortened(', '.join(columns))}; name it: "
            "evaluator.key=COLUMN"
        )

    def _read(self, line: int, cells: Mapping[Any, Any]) -> Architecture:
        try:
            if len(cells) > 1:
                return self.space.arch({str(k): v for k, v in cells.items()})
            (text,) = map(str, cells.values())
            return self._architecture(text)
        except Exception as error:  # a space may meet anything in a cell
            raise NasplugError(f"{self.name}, line {line}: {reason(error)}") from None

    def _architecture(self, text: str) -> Architecture:
        """The architecture that `text` holds: a list of option indices, a configuration, or the
        space's own notation."""
        value = json.loads(text) if text[:1] in ("[", "{") else None
        indices = isinstance(value, list) and all(type(i) is int for i in value)
        names = {v.name for v in self.space.variables}
        if isinstance(self.space, WrittenSpace):
            config = isinstance(value, dict) and set(value) <= names
            if not indices and not config:
                return self.space.parse(text)
        if isinstance(value, dict):
            return self.space.arch(value)
        if value is None:
            raise NasplugError(f"{shortened(text)!r} is neither a JSON list nor a JSON object")
        return self._indices(value)

    def _indices(self, value: list[Any]) -> Architecture:
        variables = self.space.variables
        fits = len(value) == len(variables) and all(
            type(i) is int and 0 <= i < len(v.options)
            for i, v in zip(value, variables, strict=True)
        )
        if not fits:
            raise NasplugError(f"{shortened(str(value))} must be {len(variables)} option indices")
        if not (arch := self.space.valid([tuple(value)])):
            raise NasplugError(f"{value} is not a valid architecture of this space")
        return arch[0]
