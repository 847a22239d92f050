"""From what a one-shot search learnt to architectures, best first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from nasplug import SearchSpace
from nasplug.contracts.types import Architecture, BoolArray, FloatArray, IntArray
from nasplug.toolkit.searching import pareto

TRIES = 5000
"""Settings of the variables that are looked at before the enumeration of a large space gives up."""


def by_probability(
    space: SearchSpace, probabilities: Sequence[FloatArray]
) -> Iterator[Architecture]:
    """Distinct valid architectures from the most probable down.

    `probabilities` has an array of shape (options,) a design variable. An architecture's place is by
    sum(log(max p / p of its option)) over its active variables: 0 where each has its most probable
    option. Settings are enumerated in this order by a heap (the k best of independent choices,
    Lawler 1972), which changes variables in their order, and no inactive one.
    """
    gaps, order = [], []
    for p in probabilities:
        order.append(np.argsort(-p, kind="stable"))
        gaps.append(np.log(p.max()) - np.log(np.maximum(p[order[-1]], 1e-300)))
    found: set[Architecture] = set()
    heap: list[tuple[float, tuple[int, ...], int]] = [(0.0, (0,) * len(order), 0)]
    for _ in range(TRIES):
        if not heap:
            return
        gap, places, last = heapq.heappop(heap)
        genes = tuple(int(order[j][place]) for j, place in enumerate(places))
        for arch in space.valid([genes]):
            if arch not in found:
                found.add(arch)
                yield arch
        on = space.active([genes])[0]
        for j in range(last, len(order)):
            place = places[j] + 1
            if on[j] and place < len(order[j]):
                more = gap - gaps[j][place - 1] + gaps[j][place]
                heapq.heappush(heap, (float(more), (*places[:j], place, *places[j + 1 :]), j))


def feasible_first(
    archs: Iterator[Architecture], feasible: Callable[[Sequence[Architecture]], BoolArray]
) -> Iterator[Architecture]:
    """The same in the same order, but what breaks a limit after all others."""
    late = []
    for arch in archs:
        if feasible([arch])[0]:
            yield arch
        else:
            late.append(arch)
    yield from late


def by_fronts(losses: FloatArray, violation: FloatArray) -> IntArray:
    """Rows from best to worst: the feasible front by front, the rest by how far they break limits.

    A front of several objectives is in the order in which each row adds most to what the rows before
    it cover. `losses` has shape (n, m), all minimised; `violation` shape (n,).
    """
    left = np.isfinite(losses).all(axis=1) & (violation == 0)
    ranked: list[int] = []
    best, worst = pareto.bounds(losses[left])
    scaled = (losses - best) / (worst - best)
    while left.any():
        front = np.flatnonzero(left)[pareto.nondominated(scaled[left])]
        ranked += _spread(scaled, front)
        left[front] = False
    rest = np.setdiff1d(np.arange(len(losses)), ranked)
    order: IntArray = np.array(
        [*ranked, *rest[np.argsort(violation[rest], kind="stable")]], np.int64
    )
    return order


def _spread(scaled: FloatArray, front: IntArray) -> list[int]:
    """A front's rows: the one nearest to the ideal, then always the one farthest from those taken."""
    taken = [int(front[np.argmin(np.linalg.norm(scaled[front], axis=1))])]
    distance = np.full(len(front), np.inf)
    while len(taken) < len(front):
        near = np.linalg.norm(scaled[front] - scaled[taken[-1]], axis=1)
        distance = np.minimum(distance, near)
        distance[np.isin(front, taken)] = -1.0
        taken.append(int(front[np.argmax(distance)]))
    return taken
