"""The search on predictions inside LINAS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nasplug import Problem, SearchSpace, Strategy
from nasplug.contracts.types import Archs, FloatArray, IntArray
from nasplug.toolkit import pareto
from nasplug_strategies.nondominated_order import standing

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
    at random, is predicted; where the front is smaller, of the `width` best (Paquete, Chiarandini,
    Stützle, "Pareto local optimum sets in the biobjective traveling salesman problem", 2004). Then
    what the best of these changes make together (`leaps`).
    """
    known = _Known(predict, archs, values)
    rows = np.arange(len(archs))
    expanded: set[int] = set()
    for _ in range(rounds):
        rows = rows[_best(problem, known.values[rows], width)]
        new = [row for row in rows.tolist() if row not in expanded]
        if not new:
            break
        some = np.sort(rng.permutation(new)[:width])
        expanded.update(some.tolist())
        before = len(known.values)
        members = known.archs(some)
        who, column, near = changes(problem.space, members)
        gained = _goals(problem, known(near)) - _goals(problem, known.values[some])[who]
        gained /= np.maximum(np.ptp(_goals(problem, known.values[rows]), axis=0), 1e-12)
        known(leaps(problem.space, members, who, column, gained, rng))
        rows = np.concatenate([rows, np.arange(before, len(known.values))])
    return known.archs(np.arange(len(known.values))), known.values


class _Known:
    """Predictions made so far, none twice: `values` (n, metrics), a row an architecture."""

    def __init__(self, predict: Predict, archs: IntArray, values: FloatArray) -> None:
        self._predict = predict
        self._width = archs.shape[1]
        self._keys = keys(archs)
        self._row = {key: row for row, key in enumerate(self._keys)}
        self.values = values

    def __call__(self, archs: IntArray) -> FloatArray:
        """The values of `archs` (k, v), shape (k, metrics)."""
        named = keys(archs)
        fresh = {key: i for i, key in enumerate(named) if key not in self._row}
        if fresh:
            self._row.update((key, row) for row, key in enumerate(fresh, len(self._keys)))
            self._keys.extend(fresh)
            told = self._predict(archs[list(fresh.values())])
            self.values = np.concatenate([self.values, told])
        return self.values[[self._row[key] for key in named]]

    def archs(self, rows: IntArray) -> IntArray:
        """The architectures of `rows`, shape (len(rows), v)."""
        return _unpacked([self._keys[row] for row in rows.tolist()], self._width)


LEAPS = 32
"""How many ways of putting an architecture's changes together are tried."""


def leaps(
    space: SearchSpace,
    archs: IntArray,
    who: IntArray,
    column: IntArray,
    gained: FloatArray,
    rng: np.random.Generator,
) -> IntArray:
    """What the best changes of each of `archs` (n, v) make together, `LEAPS` of each, shape (k, v).

    `who` and `column` (c,) say whose change and to which column of the one-hot, `gained`
    (c, goals) what it adds to each goal, of which less is better. A leap weighs the goals at random
    and gives every variable the option that by these weights is best, as if changes added up.
    """
    counts = [len(v.options) for v in space.variables]
    starts = np.cumsum(counts) - counts
    weights = rng.exponential(size=(len(archs), LEAPS, gained.shape[1]))
    weights /= weights.sum(axis=2, keepdims=True)
    score = np.full((len(archs), LEAPS, sum(counts)), np.inf)
    np.put_along_axis(score, (starts + archs)[:, None], 0.0, axis=2)
    score[who, :, column] = np.einsum("clg,cg->cl", weights[who], gained)
    options = [part.argmin(axis=2) for part in np.split(score, starts[1:], axis=2)]
    made = space.canonical(np.stack(options, axis=2).reshape(-1, len(counts)))
    return made[space.is_valid(made)]


def _goals(problem: Problem, values: FloatArray) -> FloatArray:
    """What a leap weighs, shape (n, goals): the losses, and what else constraints limit, less being
    better where there is a maximum."""
    others = {c.name: -1.0 if c.max is None else 1.0 for c in problem.constraints}
    signs = [others[name] for name in problem.metrics[len(problem.objectives) :]]
    limited = values[:, len(problem.objectives) :] * np.array(signs, float)
    return np.concatenate([problem.losses(values), limited], axis=1)


def _best(problem: Problem, values: FloatArray, least: int) -> IntArray:
    """Rows of the front, or the `least` best where it has fewer: with one objective it has one, and
    none where no constraint is kept."""
    losses, violation = problem.losses(values), problem.violation(values)
    front: IntArray = np.flatnonzero(pareto.nondominated(losses, violation))
    return front if len(front) >= least else standing(losses, violation)[:least]


def changes(space: SearchSpace, archs: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Every valid architecture that one change of one active variable makes of one of `archs` (n, v):
    whose change it is (c,), to which column of the one-hot (c,), and what it makes (c, v)."""
    counts = [len(v.options) for v in space.variables]
    place = np.repeat(np.arange(len(counts)), counts)
    option = np.concatenate([np.arange(n) for n in counts])
    who, column = np.nonzero(space.active(archs)[:, place] & (archs[:, place] != option))
    edits = archs[who]
    edits[np.arange(len(edits)), place[column]] = option[column]
    made = space.canonical(edits)
    good = space.is_valid(made)
    return who[good], column[good], made[good]


def distinct(archs: IntArray) -> IntArray:
    """`archs` (n, v) without repeats, in the order of their first."""
    return _unpacked(list(dict.fromkeys(keys(archs))), archs.shape[1])


def keys(archs: IntArray) -> list[bytes]:
    """What tells each of `archs` (n, v) from the others, to look it up by."""
    whole = np.dtype((np.void, archs.shape[1] * archs.itemsize))
    named: list[bytes] = np.ascontiguousarray(archs).view(whole).ravel().tolist()
    return named


def _unpacked(named: list[bytes], width: int) -> IntArray:
    """The architectures of these `keys`, shape (n, width)."""
    return np.frombuffer(b"".join(named), np.int64).reshape(-1, width)
