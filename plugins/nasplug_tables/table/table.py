"""The evaluator of recorded measurements: tables of architectures."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug import Evaluator, Failure, Measurement, Metric, NasplugError, SearchSpace, unknown
from nasplug.contracts.types import Architecture, Direction, Outcome, Trial
from nasplug_tables.readers.formats import read
from nasplug_tables.readers.opening import shortened
from nasplug_tables.table.rows import KEYS, Reading, Rows

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

SMALLER = ("latency", "params", "macs", "flops", "loss", "seconds", "energy")
"""Words in the name of a metric of which less is better, where the user does not say."""

DUPLICATES = ("error", "first", "mean")
MISSING = ("fail", "error")


class Table(Evaluator):
    """Looks metrics up in files of one row an architecture; nothing is trained.

    A file is CSV, parquet or JSON, or published by NAS-Bench-101, NATS-Bench or HW-NAS-Bench;
    `format` says so where the name does not. The architecture is in the column `key`, else in the
    first there is of `architecture`, `config` and `arch`: as a JSON list of option indices or a JSON
    object of variables, as in `results.csv`, or in the space's own notation. Or there is one column a
    design variable, with its values. Several files are joined by architecture.

    Every other column of numbers is a metric of its own name. Of those with latency, params, macs,
    flops, loss, seconds or energy in their name less is better, of others more, unless `minimize`
    lists the columns of which less is better. `units` maps columns to units. `where` takes only the
    rows with these values, e.g. {task: cifar10}, of the files that have the column.

    An empty cell is not measured, nor is a value outside `limits`, e.g. {latency: {min: 0.5}}, both
    included. An architecture that is not measured is a failure of its own (`missing` fail), or stops
    the run (error). `duplicates` says what to do where several rows of a file are one architecture
    with different values: error, first, or mean.
    """

    preferred_batch = 64

    def __init__(
        self,
        space: SearchSpace,
        path: str | list[str] | None = None,
        format: str | None = None,
        key: str | None = None,
        minimize: list[str] | None = None,
        units: dict[str, str] | None = None,
        where: dict[str, Any] | None = None,
        limits: dict[str, dict[str, float]] | None = None,
        duplicates: str = "error",
        missing: str = "fail",
    ) -> None:
        if duplicates not in DUPLICATES:
            raise unknown("treatment of duplicates", duplicates, DUPLICATES)
        if missing not in MISSING:
            raise unknown("treatment of missing architectures", missing, MISSING)
        for name, bounds in (limits or {}).items():
            if not set(bounds) <= {"min", "max"}:
                raise NasplugError(
                    f"limits.{name} must be min, max or both, but got {dict(bounds)}"
                )
        self.space = space
        self.path = path
        self.format = format
        self.key = key
        self.minimize = minimize
        self.units = units
        self.where = where
        self.limits = limits
        self.duplicates = duplicates
        self.missing = missing

    def __getstate__(self) -> dict[str, Any]:
        """The settings alone; the rows are read again where they are needed."""
        return {k: v for k, v in vars(self).items() if k not in ("_rows", "_columns", "_frames")}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The numeric columns, in their order; none without a path."""
        for name in (*(self.minimize or ()), *(self.units or ()), *(self.limits or ())):
            if self.path is not None and name not in self._columns:
                raise unknown(f"column of numbers of {self._files}", name, self._columns)
        return {
            name: Metric((self.units or {}).get(name, ""), self._way(name))
            for name in self._columns
        }

    @cached_property
    def _columns(self) -> dict[str, str]:
        """The numeric columns, and the file of each."""
        columns: dict[str, str] = {}
        for path, frame in self._frames.items():
            for name, word in self._reading(path).words(frame).items():
                log.warning("%s: %s is no metric, since it holds %s", path, shortened(name), word)
            for name in self._reading(path).metrics(frame):
                if columns.setdefault(name, path) != path:
                    raise NasplugError(
                        f"a column of numbers must be in one file alone, but {name} is in "
                        f"{columns[name]} and {path}; rename it in one, or leave it out"
                    )
        return columns

    def _way(self, name: str) -> Direction:
        words = re.split(r"[^a-z0-9]+", name.lower())
        less = (
            name in self.minimize
            if self.minimize is not None
            else not set(SMALLER).isdisjoint(words)
        )
        return "minimize" if less else "maximize"

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """The row of each architecture; a Failure where there is none, or its cell is empty,
        infinite or outside `limits`."""
        archs = [trial.arch for trial in trials]
        outcomes = [self._outcome(tuple(arch), names) for arch in archs]
        if self.missing == "error":
            for outcome in outcomes:
                if isinstance(outcome, Failure):
                    raise NasplugError(
                        f"{outcome.error}; evaluator.missing=fail goes on without it"
                    )
        return outcomes

    def _outcome(self, arch: Architecture, names: Sequence[str]) -> Outcome:
        row = self._rows.get(arch)
        if row is None:
            return Failure(f"{self._files} has no row for {self.space.config(arch)}")
        for name in names:
            value = row.get(name, math.nan)
            if not math.isfinite(value):
                said = "no" if math.isnan(value) else "an infinite"
                return Failure(f"{self._files} has {said} {name} for {self.space.config(arch)}")
            bounds = (self.limits or {}).get(name, {})
            if not bounds.get("min", -math.inf) <= value <= bounds.get("max", math.inf):
                return Failure(
                    f"{self._files} has a {name} outside its limits, {value}, for "
                    f"{self.space.config(arch)}"
                )
        return Measurement({name: float(row[name]) for name in names})

    @cached_property
    def _rows(self) -> Rows:
        whole: dict[Architecture, dict[str, float]] = {}
        for path, frame in self._frames.items():
            for arch, values in self._reading(path).rows(frame).items():
                whole.setdefault(arch, {}).update(values)
        return whole

    @cached_property
    def _frames(self) -> dict[str, pd.DataFrame]:
        texts = KEYS if self.key is None else (*KEYS, self.key)
        frames = {path: read(Path(path), self.format, texts) for path in self._paths}
        for column, value in (self.where or {}).items():
            having = [path for path, frame in frames.items() if column in frame]
            if not having:
                known = {str(name) for frame in frames.values() for name in frame.columns}
                raise unknown(f"column of {self._files}", column, known)
            for path in having:
                frames[path] = frames[path][frames[path][column] == value]
                if not len(frames[path]):
                    raise NasplugError(
                        f"{path} must have rows whose {column} is {value!r}, but has none"
                    )
        return frames

    @property
    def _paths(self) -> list[str]:
        if self.path is None:
            return []
        return [self.path] if isinstance(self.path, str) else list(self.path)

    @property
    def _files(self) -> str:
        return " and ".join(self._paths)

    def _reading(self, path: str) -> Reading:
        return Reading(self.space, path, self.key, self.duplicates)
