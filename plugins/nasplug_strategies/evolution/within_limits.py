"""Architectures that keep the limits on metrics which need no measurement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from nasplug import Problem
from nasplug.contracts.types import Architecture, BoolArray, FloatArray
from nasplug_strategies.candidate_scoring import best_of_groups, draws

BATCH = 500
"""Random architectures that are looked at together."""

BATCHES = 20
"""How often, until those that keep the limits are sought by climbing."""


def within_limits(problem: Problem, archs: Sequence[Architecture]) -> BoolArray:
    """Which keep the limits on computed metrics, shape (n,); all where there are none."""
    keeps: BoolArray = _violation(problem, archs) == 0
    return keeps


def sample_within_limits(
    problem: Problem, n: int, rng: np.random.Generator, seen: Collection[Architecture] = ()
) -> list[Architecture]:
    """`n` random architectures within the limits and outside `seen`; fewer where no more are found.

    Random ones are drawn until enough keep the limits, as published searches do. Where few or none
    do, each further one is climbed to from the nearest that was drawn: of its neighbours the one that
    breaks the limits least, until it keeps them.
    """
    if n <= 0:
        return []
    limited = [c for c in problem.constraints if c.name in problem.closed_form]
    wanted = n * draws(problem.candidate_scorer)
    if not limited:
        drawn = problem.space.sample(wanted, rng, seen)
        return best_of_groups(problem.candidate_scorer, [tuple(a) for a in drawn.tolist()], n)
    found: dict[Architecture, None] = {}
    near: list[tuple[float, Architecture]] = []
    for _ in range(BATCHES):
        if len(found) >= wanted:
            break
        size = max(BATCH, wanted)
        drawn = problem.space.sample(size, rng, exclude={*seen, *found})
        archs = [tuple(a) for a in drawn.tolist()]
        violation = _violation(problem, archs)
        found |= dict.fromkeys(a for a, v in zip(archs, violation, strict=True) if v == 0)
        near += [(float(v), a) for a, v in zip(archs, violation, strict=True) if v > 0]
        if len(archs) < size:  # that was all there is
            near = []
            break
    near.sort(key=lambda pair: pair[0])
    for least, arch in near[: 4 * n]:
        if len(found) >= n:
            break
        climbed = _climb(problem, least, arch)
        if climbed is not None and climbed not in seen:
            found[climbed] = None
    return best_of_groups(problem.candidate_scorer, list(found)[:wanted], n)


def _climb(problem: Problem, violation: float, arch: Architecture) -> Architecture | None:
    """The first within the limits on the way from `arch` to neighbours that break them less."""
    while violation > 0:
        around = problem.space.neighbours(arch)
        values = _violation(problem, around)
        if not around or values.min() >= violation:
            return None
        best = int(values.argmin())
        violation, arch = float(values[best]), around[best]
    return arch


def _violation(problem: Problem, archs: Sequence[Architecture]) -> FloatArray:
    """By how much limits on computed metrics are broken, relative and summed, shape (n,)."""
    limited = tuple(c for c in problem.constraints if c.name in problem.closed_form)
    if not limited or not len(archs):
        return np.zeros(len(archs))
    columns = problem.closed_form_values(archs)
    inner = replace(problem, objectives=(), constraints=limited)
    return inner.violation(np.column_stack([columns[name] for name in inner.metrics]))
