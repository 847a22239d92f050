"""Which of a pool of scored architectures to measure first."""

from __future__ import annotations

import numpy as np

from nasplug import Problem
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray, IntArray
from nasplug.toolkit.searching.pareto import nondominated


def feasible(problem: Problem, archs: Archs) -> BoolArray:
    """Which keep the constraints, as far as the space computes them, shape (n,)."""
    known, keeps = problem.closed_form_values(archs), np.ones(len(archs), bool)
    for constraint in problem.constraints:
        if constraint.name in known:
            value = known[constraint.name]
            keeps &= value <= (np.inf if constraint.max is None else constraint.max)
            keeps &= value >= (-np.inf if constraint.min is None else constraint.min)
    return keeps


def best_first(
    problem: Problem, archs: list[Architecture], scores: FloatArray
) -> tuple[Architecture, ...]:
    """Those that have a score, which has shape (n,): the feasible, then the rest, each best first.

    With one objective by score. With several, the score stands for what must be measured, and the
    costs that the space computes for themselves, or the multiply-adds for other costs: fronts of
    score against costs, one after the other, and within each any beginning is spread over it.
    """
    scored = np.isfinite(scores)
    keeps = feasible(problem, archs)
    places: list[int] = []
    for group in (np.flatnonzero(scored & keeps), np.flatnonzero(scored & ~keeps)):
        some = [archs[i] for i in group]
        losses = np.column_stack([-scores[group], *_costs(problem, some)])
        places += group[_order(losses)].tolist()
    return tuple(archs[i] for i in places)


def _costs(problem: Problem, archs: list[Architecture]) -> list[FloatArray]:
    """Costs to be minimised, each of shape (n,); none where there is one objective."""
    if len(problem.objectives) == 1 or not archs:
        return []
    known = problem.closed_form_values(archs)
    goals = [o for o in problem.objectives if o.name in known]
    if goals:
        return [known[goal.name] * goal.sign for goal in goals]
    costs = problem.space.costs(archs)
    return [costs["macs"]] if "macs" in costs else []


def _order(losses: FloatArray) -> IntArray:
    """Rows of `losses`, shape (n, m), front by front, each front spread; shape (n,)."""
    if losses.shape[1] == 1:
        return np.argsort(losses[:, 0], kind="stable")
    ranks = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0) / len(losses)
    left = np.arange(len(losses))
    order: list[int] = []
    while len(left):
        front = nondominated(losses[left])
        order += left[front][_spread(ranks[left][front])].tolist()
        left = left[~front]
    return np.array(order, np.int64)


def _spread(points: FloatArray) -> IntArray:
    """Rows of `points`, shape (n, m): the best in the first column, then always the one farthest from
    those taken; shape (n,)."""
    order = [int(np.argmin(points[:, 0]))]
    distance = np.linalg.norm(points - points[order[0]], axis=1)
    while len(order) < len(points):
        distance[order[-1]] = -1
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[order[-1]], axis=1))
    return np.array(order, np.int64)
