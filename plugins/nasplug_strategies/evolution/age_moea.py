"""Survival of AGE-MOEA and AGE-MOEA-II, which estimate the shape of the Pareto front.

Written on numpy, because pymoo's own needs numba's compiler. Sources: A. Panichella, "An adaptive
evolutionary algorithm based on non-Euclidean geometry for many-objective optimization" (GECCO
2019) and "An improved Pareto front modeling algorithm for large-scale many-objective optimization"
(GECCO 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import moocore
import numpy as np
from pymoo.core.population import Population
from pymoo.core.survival import Survival

from nasplug.contracts.types import FloatArray

Curvature = Callable[[FloatArray], float]
"""The middle point of a normalised front, shape (m,), to the p of its L_p unit sphere."""

Distances = Callable[[FloatArray, float], FloatArray]
"""A normalised front, shape (n, m), and its p, to the distances between its points, shape (n, n)."""


def middle_curvature(middle: FloatArray) -> float:
    """AGE-MOEA: as if the middle lay on the diagonal, p = log m / (log m - log sum(middle))."""
    m, total = len(middle), float(middle.sum())
    below = np.log(m) - np.log(total) if total > 0 else 0.0
    return _sane(np.log(m) / below if below else 1.0)


def exact_curvature(middle: FloatArray) -> float:
    """AGE-MOEA-II: the p at which sum(middle ** p) = 1, by bisection."""
    if (middle <= 0).any() or (middle >= 1).any():
        return 1.0
    low, high = 0.1, 20.0
    for _ in range(50):
        p = (low + high) / 2
        low, high = (p, high) if (middle**p).sum() > 1 else (low, p)
    return _sane(low)


def _sane(p: float) -> float:
    return float(p) if np.isfinite(p) and 0.1 < p < 20 else 1.0


def chord(front: FloatArray, p: float) -> FloatArray:
    """AGE-MOEA: L_p distances."""
    gaps = np.abs(front[:, None] - front[None])
    distances: FloatArray = (gaps**p).sum(axis=2) ** (1 / p)
    return distances


def geodesic(front: FloatArray, p: float) -> FloatArray:
    """AGE-MOEA-II: lengths along the L_p sphere, by way of the projected half-way point."""
    on = _project(front, p)
    half = _project((on[:, None] + on[None]) / 2, p)
    ways = np.linalg.norm(on[:, None] - half, axis=2) + np.linalg.norm(half - on[None], axis=2)
    lengths: FloatArray = (ways + ways.T) / 2
    return lengths


def _project(points: FloatArray, p: float) -> FloatArray:
    """Points moved along their rays to the L_p unit sphere."""
    length = (np.maximum(points, 0) ** p).sum(axis=-1, keepdims=True) ** (1 / p)
    projected: FloatArray = points / np.maximum(length, 1e-12)
    return projected


@final
class AgeSurvival(Survival):  # type: ignore[misc]  # pymoo has no types
    """Whole fronts survive while there is room; of the last one, the best by diversity / proximity.

    Gives individuals the attributes `rank` and `crowding` (the score, larger is better).
    """

    def __init__(self, curvature: Curvature, distances: Distances) -> None:
        super().__init__(filter_infeasible=True)
        self.curvature, self.distances = curvature, distances

    def _do(
        self, problem: Any, pop: Population, *args: Any, n_survive: int, **kwargs: Any
    ) -> Population:
        losses = np.array([individual.F for individual in pop], float)
        rank = np.asarray(moocore.pareto_rank(losses))
        first = losses[rank == 0]
        ideal = first.min(axis=0)
        ends = _extremes(first - ideal)
        scaled = (losses - ideal) / _intercepts(first - ideal, ends)
        p = self.curvature(_middle(scaled[rank == 0], ends))
        near = np.maximum((np.maximum(scaled, 0) ** p).sum(axis=1) ** (1 / p), 1e-12)
        score = 1 / near
        score[rank == 0] = _survival_score(
            self.distances(scaled[rank == 0], p), near[rank == 0], ends
        )
        for individual, r, s in zip(pop, rank, score, strict=True):
            individual.set("rank", int(r))
            individual.set("crowding", float(s))
        return pop[np.lexsort((-score, rank))[:n_survive]]


def _extremes(front: FloatArray) -> list[int]:
    """For each objective the point nearest to its axis; distinct places, at most m."""
    across = np.sqrt(np.maximum((front**2).sum(axis=1, keepdims=True) - front**2, 0))
    return list(dict.fromkeys(np.argmin(across, axis=0).tolist()))


def _intercepts(front: FloatArray, ends: list[int]) -> FloatArray:
    """Where the plane through the extremes cuts the axes; else the front's extent, shape (m,)."""
    extent = front.max(axis=0)
    extent = np.where(extent > 1e-12, extent, 1.0)
    if len(ends) < front.shape[1] or np.linalg.cond(front[ends]) > 1e10:
        return extent
    inverse = np.linalg.solve(front[ends], np.ones(len(ends)))
    good = (inverse > 1e-12).all()
    return 1 / inverse if good else extent


def _middle(front: FloatArray, ends: list[int]) -> FloatArray:
    """The point nearest to the diagonal, extremes left out where there are others, shape (m,)."""
    along = front.mean(axis=1, keepdims=True)
    across = np.linalg.norm(front - along, axis=1)
    if len(front) > len(ends):
        across[ends] = np.inf
    middle: FloatArray = front[int(np.argmin(across))]
    return middle


def _survival_score(distances: FloatArray, near: FloatArray, ends: list[int]) -> FloatArray:
    """Points taken one by one, the extremes first: the sum of the two smallest distances to those
    already taken, over the proximity to the ideal point, shape (n,)."""
    score = np.full(len(near), np.inf)
    taken = list(ends)
    left = [i for i in range(len(near)) if i not in set(ends)]
    while left:
        closest = np.sort(distances[np.ix_(left, taken)], axis=1)[:, :2].sum(axis=1) / near[left]
        best = int(np.argmax(closest))
        score[left[best]] = closest[best]
        taken.append(left.pop(best))
    return score
