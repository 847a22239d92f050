"""The initial design of LINAS: a few architectures spread over the range of costs."""

from __future__ import annotations

import numpy as np

from nasplug import Problem, SearchSpace
from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug_strategies.linas.features import SAMPLE, cost_effects, kinds

POOL = 400
"""Candidates to choose from."""

TILT = 3.0
"""The largest |t| that a candidate draws: t is half the log odds between the options of highest and
of lowest cost."""

KIND_STD = 1.0
"""Standard deviation of the noise that its kinds add to t of a variable."""


def spread_sample(
    problem: Problem, n: int, rng: np.random.Generator, exclude: list[Architecture]
) -> list[Architecture]:
    """`n` architectures outside `exclude`, evenly spread over the cost range, those of lowest and of
    highest cost among them; fewer if the space holds fewer.

    Uniform random architectures all have middling costs. So `POOL` candidates are drawn with
    P(option k of a variable) proportional to exp(t * c_k): c_k in [-1, 1] is the option's relative
    cost, and t ~ U(-3, 3) is drawn for each candidate, plus Gaussian noise for each kind of variable
    (`features.kinds`), so that a few measurements tell large kernels from large widths. Of these the
    nearest to n even places on the logarithm of the cost are taken. Candidates that break a
    constraint on computed costs are left out, as long as others are left.
    """
    space = problem.space
    levels = _levels(problem, rng)
    tilt = rng.uniform(-TILT, TILT, POOL)
    tilt[:2] = -np.inf, np.inf
    genes = _draw(levels, tilt[:, None] + _kind_tilts(space, rng), rng)
    pool = [a for a in dict.fromkeys(space.valid(genes)) if a not in set(exclude)]
    if not pool:
        return []
    costs = problem.closed_form_values(pool)
    values = np.zeros((len(pool), len(problem.metrics)))
    for name, column in costs.items():
        values[:, problem.metrics.index(name)] = column
    limited = [c for c in problem.constraints if c.name in costs]
    kept = np.ones(len(pool), bool)
    for constraint in limited:
        column = costs[constraint.name]
        low = -np.inf if constraint.min is None else constraint.min
        high = np.inf if constraint.max is None else constraint.max
        kept &= (column >= low) & (column <= high)
    if kept.sum() >= min(n, 2):
        pool = [a for a, keep in zip(pool, kept, strict=True) if keep]
    return _even(pool, _size(problem, pool, levels), n, rng)


def _levels(problem: Problem, rng: np.random.Generator) -> list[FloatArray]:
    """For each variable the relative costs c_k of its options, in [-1, 1]."""
    space = problem.space
    counts = [len(v.options) for v in space.variables]
    effects = cost_effects(space, space.sample(SAMPLE, rng))
    parts = np.split(effects, np.cumsum(counts)[:-1])
    scales = [float(np.abs(part).max()) for part in parts]
    return [part / scale if scale > 0 else part for part, scale in zip(parts, scales, strict=True)]


def _kind_tilts(space: SearchSpace, rng: np.random.Generator) -> FloatArray:
    """The noise that kinds add to t of each variable in each candidate, shape (POOL, v)."""
    added = np.zeros((POOL, len(space.variables)))
    count = np.zeros(len(space.variables))
    for group in kinds(space):
        added[:, group] += rng.normal(size=(POOL, 1))
        count[list(group)] += 1
    return added * (KIND_STD / np.sqrt(np.maximum(count, 1.0)))


def _draw(levels: list[FloatArray], tilt: FloatArray, rng: np.random.Generator) -> IntArray:
    """Genes of shape (n, v): P(option k) is proportional to exp(tilt * level_k), tilts of shape (n, v);
    where the tilt is infinite, the option of the extreme level."""
    columns = []
    for level, lean in zip(levels, tilt.T, strict=True):
        odds = np.exp(np.where(np.isfinite(lean), lean, 0.0)[:, None] * level)
        upto = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
        draw = (rng.random((len(lean), 1)) > upto).sum(axis=1).clip(max=len(level) - 1)
        draw = np.where(lean == np.inf, level.argmax(), draw)
        columns.append(np.where(lean == -np.inf, level.argmin(), draw))
    return np.array(columns, np.int64).T


def _size(problem: Problem, pool: list[Architecture], levels: list[FloatArray]) -> FloatArray:
    """How large each of `pool` is, shape (n,): the logarithm of a cost, an objective's if there is
    one; without costs the mean level."""
    costs = problem.costs(pool)
    goals = [o.name for o in problem.objectives if o.name in costs]
    for name in (*goals, *costs):
        size: FloatArray = np.log(np.maximum(costs[name], 1e-12))
        return size
    columns = zip(*pool, strict=True)
    places = [level[list(column)] for level, column in zip(levels, columns, strict=True)]
    mean: FloatArray = np.mean(places, axis=0)
    return mean


def _even(
    pool: list[Architecture], size: FloatArray, n: int, rng: np.random.Generator
) -> list[Architecture]:
    """Of `pool` those nearest to `n` even places over the range of `size`, ends first."""
    places = np.linspace(size.min(), size.max(), n)
    order = [0, n - 1, *rng.permutation(np.arange(1, n - 1)).tolist()] if n > 1 else [0]
    left = np.ones(len(pool), bool)
    chosen = []
    for k in order:
        if left.any():
            gap = np.where(left, np.abs(size - places[k]), np.inf)
            i = int(gap.argmin())
            left[i] = False
            chosen.append(pool[i])
    return chosen
