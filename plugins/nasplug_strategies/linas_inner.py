"""The search on predictions inside LINAS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nasplug import Problem, SearchSpace, Strategy, pareto
from nasplug.types import Archs, FloatArray, IntArray
from nasplug_strategies.ranking import standing

Predict = Callable[[Archs], FloatArray]
"""Architectures to values of shape (n, len(problem.metrics))."""


def search_predicted(
    problem: Problem, inner: Strategy, predict: Predict, evaluations: int, seed: int
) -> tuple[IntArray, FloatArray]:
    """Everything that `inner` asks for in `evaluations` predictions, and their values."""
    inner.setup(replace(problem, seed=seed, first=(), prefer=None))
    archs = [np.empty((0, len(problem.space.variables)), np.int64)]
    values = [np.empty((0, len(problem.metrics)))]
    left = evaluations
    while left > 0:
        asked = list(inner.ask(left))
        if not asked:
            break
        archs.append(np.array(asked, np.int64))
        values.append(predict(archs[-1]))
        inner.tell(asked, values[-1])
        left -= len(asked)
    return np.concatenate(archs), np.concatenate(values)


def polish(
    problem: Problem,
    predict: Predict,
    archs: IntArray,
    values: FloatArray,
    rounds: int,
    width: int,
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """`archs` (n, v) and `values` (n, metrics), with what a Pareto local search adds to them.

    In each of `rounds`, every single change of up to `width` members of the predicted front, drawn
    at random, is predicted; where the front is smaller, of the `width` best. Paquete, Chiarandini,
    Stützle, "Pareto local optimum sets in the biobjective traveling salesman problem" (2004).
    """
    seen = set(keys(archs))
    found, told = [archs], [values]
    expanded: set[bytes] = set()
    for _ in range(rounds):
        best = _best(problem, values, width)
        archs, values = archs[best], values[best]
        named = keys(archs)
        new = [i for i, key in enumerate(named) if key not in expanded]
        if not new:
            break
        some = np.sort(rng.permutation(new)[:width])
        expanded.update(named[i] for i in some)
        near = changes(problem.space, archs[some])
        near = near[[key not in seen for key in keys(near)]]
        if len(near):
            seen.update(keys(near))
            found.append(near)
            told.append(predict(near))
            archs = np.concatenate([archs, near])
            values = np.concatenate([values, told[-1]])
    return np.concatenate(found), np.concatenate(told)


def _best(problem: Problem, values: FloatArray, least: int) -> IntArray:
    """Rows of the front, or the `least` best where it has fewer: with one objective it has one, and
    none where no constraint is kept."""
    losses, violation = problem.losses(values), problem.violation(values)
    front: IntArray = np.flatnonzero(pareto.nondominated(losses, violation))
    return front if len(front) >= least else standing(losses, violation)[:least]


def changes(space: SearchSpace, archs: IntArray) -> IntArray:
    """Every distinct valid architecture that one change of one active variable makes of one of
    `archs`, shape (k, v)."""
    counts = [len(v.options) for v in space.variables]
    place = np.repeat(np.arange(len(counts)), counts)
    option = np.concatenate([np.arange(count) for count in counts])
    changed = space.active(archs)[:, place] & (archs[:, place] != option)
    who, what = np.nonzero(changed)
    edits = archs[who]
    edits[np.arange(len(edits)), place[what]] = option[what]
    return distinct(space.canonical(edits[space.is_valid(edits)]))


def distinct(archs: IntArray) -> IntArray:
    """`archs` (n, v) without repeats, in the order of their first."""
    rows = dict.fromkeys(keys(archs))
    return np.frombuffer(b"".join(rows), np.int64).reshape(-1, archs.shape[1])


def keys(archs: IntArray) -> list[bytes]:
    """What tells each of `archs` (n, v) from the others, to look it up by."""
    whole = np.dtype((np.void, archs.shape[1] * archs.itemsize))
    named: list[bytes] = np.ascontiguousarray(archs).view(whole).ravel().tolist()
    return named
