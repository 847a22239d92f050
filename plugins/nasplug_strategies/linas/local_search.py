"""Pareto local search on predictions, which follows the inner search of LINAS."""

from __future__ import annotations

from typing import cast

import numpy as np

from nasplug import Problem, SearchSpace
from nasplug.contracts.types import FloatArray, IntArray
from nasplug.toolkit.searching import pareto
from nasplug.toolkit.searching.search_on_predictions import Predict
from nasplug_strategies.nondominated_order import nondominated_order


def local_search(
    problem: Problem,
    predict: Predict,
    archs: IntArray,
    values: FloatArray,
    rounds: int,
    width: int,
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """`archs` (n, v) and `values` (n, metrics), followed by what a Pareto local search adds to them.

    Each of `rounds` draws up to `width` members of the predicted front (of the `width` best where the
    front is smaller), predicts all their neighbours, each one change away (Paquete, Chiarandini,
    Stützle, "Pareto local optimum sets in the biobjective traveling salesman problem", 2004), and
    then the moves that combine the best of these changes (`recombined_moves`).
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
        known(recombined_moves(problem.space, members, who, column, gained, rng))
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


RECOMBINATIONS = 32
"""Recombined moves that are tried of each architecture."""


def recombined_moves(
    space: SearchSpace,
    archs: IntArray,
    who: IntArray,
    column: IntArray,
    gained: FloatArray,
    rng: np.random.Generator,
) -> IntArray:
    """Moves that change several variables of each of `archs` (n, v) at once, shape (k, v).

    `who` and `column` (c,) say whose single change each is and to which column of the one-hot,
    `gained` (c, goals) how much it adds to each goal, to be minimised. A move draws weights w of the
    goals, uniformly from the simplex, and gives every variable the option whose change has the least
    w . gained (0 for the present option), as if changes added up. `RECOMBINATIONS` moves for each
    architecture; those that are not valid are left out.
    """
    counts = [len(v.options) for v in space.variables]
    starts = np.cumsum(counts) - counts
    weights = rng.exponential(size=(len(archs), RECOMBINATIONS, gained.shape[1]))
    weights /= weights.sum(axis=2, keepdims=True)
    score = np.full((len(archs), RECOMBINATIONS, sum(counts)), np.inf)
    score[np.arange(len(archs))[:, None], :, starts + archs] = 0.0
    score[who, :, column] = np.einsum("clg,cg->cl", weights[who], gained)
    options = [part.argmin(axis=2) for part in np.split(score, starts[1:], axis=2)]
    made = space.canonical(np.stack(options, axis=2).reshape(-1, len(counts)))
    return made[space.is_valid(made)]


def _goals(problem: Problem, values: FloatArray) -> FloatArray:
    """What the moves minimise, shape (n, goals): the losses, then the metrics that only constraints
    name, with the sign by which less is better."""
    others = {c.name: -1.0 if c.max is None else 1.0 for c in problem.constraints}
    signs = [others[name] for name in problem.metrics[len(problem.objectives) :]]
    limited = values[:, len(problem.objectives) :] * np.array(signs, float)
    return np.concatenate([problem.losses(values), limited], axis=1)


def _best(problem: Problem, values: FloatArray, least: int) -> IntArray:
    """Rows of the front, or the `least` best where it has fewer: with one objective it has one, and
    none where no constraint is kept."""
    losses, violation = problem.losses(values), problem.violation(values)
    front: IntArray = np.flatnonzero(pareto.nondominated(losses, violation))
    return front if len(front) >= least else nondominated_order(losses, violation)[:least]


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
    rows = np.ascontiguousarray(archs).view(whole)
    return cast(list[bytes], rows.ravel().tolist())  # numpy's stubs do not know void


def _unpacked(named: list[bytes], width: int) -> IntArray:
    """The architectures of these `keys`, shape (n, width)."""
    return np.frombuffer(b"".join(named), np.int64).reshape(-1, width)
