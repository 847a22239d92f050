"""Which candidates to measure next: those that promise the most hypervolume."""

from __future__ import annotations

import numpy as np

from nasplug import Problem
from nasplug.contracts.types import FloatArray, IntArray
from nasplug.toolkit.searching import pareto
from nasplug_strategies.nondominated_order import nondominated_order

MARGIN = 0.1
"""How far beyond the worst measured loss the reference lies, of the range."""

SPARE = 5
"""How many more than asked for are lined up, to draw from."""


def choose(
    problem: Problem,
    measured: FloatArray,
    predicted: FloatArray,
    n: int,
    rng: np.random.Generator | None = None,
) -> IntArray:
    """Row numbers of `n` of the `predicted` values, the most promising first, or drawn by `rng`.

    Each adds the most hypervolume to the measured front and those chosen before it, as predicted,
    in the box that everything measured spans. That gain only shrinks as more are chosen, so only
    the leader's is computed (Minoux 1978), the others' are bounds. With `rng`, `SPARE` more are
    lined up so, and the n are drawn from all in proportion to these gains: a mistaken leader is not
    believed again and again. What gains nothing, or breaks a constraint, follows in
    `nondominated_order`.
    Values have shape (.., len(problem.metrics)); failed rows are NaN.
    """
    losses, violation = problem.losses(predicted), problem.violation(predicted)
    order = nondominated_order(losses, violation)
    known = problem.losses(measured)
    low, high = pareto.bounds(known)
    front = known[pareto.nondominated(known, problem.violation(measured))]
    front = (front - low) / (high - low)
    scaled = (losses[order] - low) / (high - low)
    reference = np.full(len(low), 1.0 + MARGIN)
    gains = _most(front, scaled, reference)
    gains[violation[order] > 0] = 0.0
    fresh = np.zeros(len(order), bool)
    chosen: list[int] = []
    added: list[float] = []
    lined_up = n if rng is None else n + SPARE
    while len(chosen) < min(lined_up, len(order)):
        leader = int(np.argmax(gains))
        if gains[leader] <= 0.0:
            break
        if not fresh[leader]:
            gains[leader] = _gain(front, scaled[leader], reference)
            fresh[leader] = True
            continue
        chosen.append(leader)
        added.append(gains[leader])
        gains[leader] = -1.0
        front = np.concatenate([front, scaled[leader : leader + 1]])
        fresh[:] = False
    if rng is not None and len(chosen) > n:
        share = np.array(added) / sum(added)
        chosen = [chosen[i] for i in rng.choice(len(chosen), n, replace=False, p=share)]
    taken = set(chosen)
    chosen += [i for i in range(len(order)) if i not in taken][: n - len(chosen)]
    return order[chosen[:n]]


def _gain(front: FloatArray, point: FloatArray, reference: FloatArray) -> float:
    """The volume that `point` alone dominates: its box, less the part of it that `front` does."""
    if (point >= reference).any():
        return 0.0
    box = float(np.prod(reference - point))
    if not len(front):
        return box
    return box - pareto.hypervolume(np.maximum(front, point), reference)


def _most(front: FloatArray, points: FloatArray, reference: FloatArray) -> FloatArray:
    """Bounds of the `_gain` of each of `points`, shape (n,): its box, less the largest part of it
    that any one member of `front` dominates."""
    boxes: FloatArray = np.prod(np.maximum(reference - points, 0.0), axis=1)
    if not len(front):
        return boxes
    corners = np.maximum(front, points[:, None])
    dominated: FloatArray = np.prod(np.maximum(reference - corners, 0.0), axis=2).max(axis=1)
    return boxes - dominated
