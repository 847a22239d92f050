"""Which of many measured architectures are better: feasible first, then rank, then crowding."""

from __future__ import annotations

import moocore
import numpy as np

from nasplug.contracts.types import FloatArray, IntArray


def nondominated_order(losses: FloatArray, violation: FloatArray) -> IntArray:
    """Row numbers from best to worst, shape (n,).

    The feasible (violation 0) come first, by non-dominated rank and then by crowding distance, the
    largest first (Deb et al. 2002, NSGA-II); then the infeasible, the least violation first; rows
    that failed (violation infinite) come last. With one objective: by its value. `losses` has shape
    (n, m), all minimised.
    """
    feasible = np.flatnonzero(violation == 0)
    rank = np.zeros(len(losses))
    distance = np.zeros(len(losses))
    if len(feasible):
        rank[feasible] = moocore.pareto_rank(np.ascontiguousarray(losses[feasible], float))
        for r in np.unique(rank[feasible]):
            front = feasible[rank[feasible] == r]
            distance[front] = crowding_distance(losses[front])
    order: IntArray = np.lexsort((-distance, rank, violation)).astype(np.int64)
    return order


def crowding_distance(losses: FloatArray) -> FloatArray:
    """Crowding distance of each row within one front, shape (n,); the ends are infinite."""
    n = len(losses)
    distance = np.zeros(n)
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if extent > 0 and n > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distance
