"""The limits that can be computed before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np

from nasplug import Problem, SearchSpace
from nasplug.contracts.types import Architecture, FloatArray


@final
class Limits:
    """Which architectures keep the limits on computed metrics; counts those that do not."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.drawn = self.refused = 0
        known = tuple(c for c in problem.constraints if c.name in problem.closed_form)
        self._inner = replace(problem, objectives=(), constraints=known)

    @property
    def text(self) -> str:
        """The limits, as they are typed: params<=100, .."""
        parts = []
        for limit in self._inner.constraints:
            parts += [] if limit.min is None else [f"{limit.name}>={limit.min:g}"]
            parts += [] if limit.max is None else [f"{limit.name}<={limit.max:g}"]
        return ", ".join(parts)

    def violation(self, archs: Sequence[Architecture]) -> FloatArray:
        """By how much limits are broken, relative and summed, shape (n,)."""
        if not self._inner.constraints or not len(archs):
            return np.zeros(len(archs))
        columns = self.problem.closed_form_values(archs)
        return self._inner.violation(np.column_stack([columns[n] for n in self._inner.metrics]))

    def keep(self, archs: Sequence[Architecture]) -> list[Architecture]:
        """Those of `archs` that keep the limits, in order."""
        kept = [a for a, v in zip(archs, self.violation(archs), strict=True) if v == 0]
        self.drawn += len(archs)
        self.refused += len(archs) - len(kept)
        return kept

    def nearest_first(self, archs: Sequence[Architecture]) -> list[Architecture]:
        """Those that break the limits, the least first."""
        violation = self.violation(archs)
        order = np.argsort(violation, kind="stable")
        return [archs[i] for i in order if violation[i] > 0]


def climb(limits: Limits, space: SearchSpace, arch: Architecture) -> Architecture | None:
    """The first within the limits on the way from `arch` to neighbours that break them less; None
    where the way ends before."""
    violation = float(limits.violation([arch])[0])
    while violation > 0:
        around = space.neighbours(arch)
        values = limits.violation(around)
        if not around or values.min() >= violation:
            return None
        best = int(values.argmin())
        violation, arch = float(values[best]), around[best]
    return arch
