"""Limits of metrics: constraints of a search, and `under` of an export."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import inf, isfinite
from numbers import Real
from typing import Any

import numpy as np

from nasplug.contracts.errors import NasplugError, shortened
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import Archs, FloatArray, Measurement, Metric, Record
from nasplug.engine.front import metric_values
from nasplug.engine.records import RecordTable

log = logging.getLogger("nasplug")
LIMITS = ("min", "max")
PATIENCE = 50
"""Measured architectures after which a search says that none has kept the limits."""
FEW = 5_000
"""Architectures of a space whose costs are all looked at for their extremes."""
Costs = Callable[[Archs], Mapping[str, FloatArray]]
"""Of n architectures, metric name to shape (n,)."""
STARTS = 20
"""Random architectures from which the extremes of a larger space are climbed to."""


def check_limits(where: str, limits: Any) -> None:
    """`limits` must map metrics to finite numbers, {"params": {"min": 1e6, "max": 5e6}}, no `min`
    above its `max`; None where there are none. `where` is what they are called, "constraints" or
    "under"."""
    if limits is None:
        return
    if not isinstance(limits, Mapping) or not all(isinstance(name, str) for name in limits):
        raise NasplugError(
            f"{where} must be limits of metrics, e.g. {where}.params.max=5e6, but got {shortened(limits)}"
        )
    for metric, limit in limits.items():
        what = f"{where}.{metric}"
        if not isinstance(limit, Mapping) or not limit or not set(LIMITS) >= set(limit):
            raise NasplugError(
                f"{what} must be limits, {what}.max=NUMBER or {what}.min=NUMBER, but got {_text(limit)}"
            )
        for side, value in limit.items():
            if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
                raise NasplugError(
                    f"{what}.{side} must be a finite number, but got {shortened(value)}"
                )
        if limit.get("min", -float("inf")) > limit.get("max", float("inf")):
            raise NasplugError(
                f"{what}.min must be at most {what}.max, but got min={limit['min']}, max={limit['max']}"
            )


def _text(limit: Any) -> str:
    return shortened(dict(limit) if isinstance(limit, Mapping) else limit)


def check_reachable(problem: Problem, metrics: Mapping[str, Metric]) -> None:
    """An error where a limit can be kept by no architecture: an accuracy in % outside of 0 to 100, or
    a cost beyond the space's least or greatest, where the space computes it."""
    for constraint in problem.constraints:
        name, least, most = constraint.name, constraint.min, constraint.max
        if name in problem.closed_form:
            lowest, highest = _range(problem.space, name, problem.costs)
        elif metrics[name] == Metric("%", "maximize"):
            lowest, highest = 0.0, 100.0
        else:
            continue
        if most is not None and lowest > most:
            raise NasplugError(
                f"constraints.{name}.max={most:g} can be kept by no architecture: the least {name} is "
                f"{lowest:g}"
            )
        if least is not None and highest < least:
            raise NasplugError(
                f"constraints.{name}.min={least:g} can be kept by no architecture: the greatest {name} "
                f"is {highest:g}"
            )


def _range(space: SearchSpace, name: str, costs: Costs | None = None) -> tuple[float, float]:
    """The least and the greatest cost `name`, by default one of the space's: of all architectures where
    they are few, else what climbing from one architecture to its neighbours finds."""
    costs = costs or space.costs
    try:
        few = space.size <= FEW
    except NasplugError:  # uncounted
        few = False
    if few:
        column = costs(space.enumerate())[name]
        return float(column.min()), float(column.max())
    rng = np.random.default_rng(0)
    starts = [space.smallest, space.largest, *space.valid(space.sample(STARTS, rng))]
    column = costs(starts)[name]
    low = _climb(space, costs, name, starts[int(column.argmin())], np.argmin)
    high = _climb(space, costs, name, starts[int(column.argmax())], np.argmax)
    return low, high


def _climb(
    space: SearchSpace, costs: Costs, name: str, arch: Any, choose: Callable[[FloatArray], Any]
) -> float:
    """The cost where no neighbour is better, from `arch` on."""
    value = float(costs([arch])[name][0])
    while near := space.neighbours(arch):
        column = costs(near)[name]
        best = int(choose(column))
        if choose(np.array([value, column[best]])) == 0:
            break
        arch, value = near[best], float(column[best])
    return value


class Feasibility:
    """Watches whether anything measured keeps the limits, and says so when nothing does."""

    def __init__(self, problem: Problem, table: RecordTable) -> None:
        """`table` holds what is measured already."""
        self.problem = problem
        self.measured, self.nearest = len(table), inf
        self.nearest_record: Record | None = None
        if problem.constraints and self.measured:
            values = metric_values(problem, table, np.arange(self.measured))
            violation = problem.violation(values)
            row = int(violation.argmin())
            if violation[row] < inf:
                self.nearest, self.nearest_record = float(violation[row]), table.record(row)

    def _see(self, record: Record) -> None:
        self.measured += 1
        if self.problem.constraints and isinstance(record.outcome, Measurement):
            row = [record.outcome.values[name] for name in self.problem.metrics]
            violation = float(self.problem.violation(np.array([row]))[0])
            if violation < self.nearest:
                self.nearest, self.nearest_record = violation, record

    def __call__(self, record: Record) -> None:
        """One more was measured: a warning, once, if by now one should have kept the limits."""
        self._see(record)
        if self.measured == PATIENCE and self.text:
            log.warning("after %d architectures, %s", PATIENCE, self.text)

    @property
    def text(self) -> str:
        """What there is to say; "" where a measured architecture keeps the limits."""
        if not self.problem.constraints or self.nearest == 0 or self.nearest_record is None:
            return ""
        outcome = self.nearest_record.outcome
        assert isinstance(outcome, Measurement)
        values = ", ".join(
            f"{c.name} {outcome.values[c.name]:g} (limit {side}={limit:g})"
            for c in self.problem.constraints
            for side, limit in (("min", c.min), ("max", c.max))
            if limit is not None
        )
        number = self.nearest_record.number
        return f"no measured architecture keeps the limits; the nearest: number {number}, {values}"

    def conclude(self) -> None:
        """The search ended."""
        if self.text:
            log.warning("%s. Loosen constraints, or search longer", self.text)
