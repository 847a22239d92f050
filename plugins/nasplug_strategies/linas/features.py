"""How LINAS describes architectures to its predictors, and what it reads from their costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from numbers import Number
from typing import final

import numpy as np

from nasplug import SearchSpace
from nasplug.contracts.types import Archs, FloatArray, IntArray

SAMPLE = 300
"""Random architectures from which means and spreads are estimated."""

SHARES = (1.0, 0.5, 1.0, 1.0)
"""How much of the variance each block of features has."""


@final
class Features:
    """Four blocks of features, each with mean 0 and its share of `SHARES` as its columns' variance.

    1. The masked one-hot of `SearchSpace.features`, each variable weighted by how much it changes
       the costs: what costs nothing rarely gains much. Equal weights where no costs are known.
    2. How often each option is taken by variables of one kind: those whose names differ in numbers
       alone (`stage1.block2.kernel` and `stage4.block1.kernel`; also those of one stage).
    3. The logarithms of the costs that the space computes.
    4. `cost_effects`, a column a variable: between a small option and a large one lies the middle.

    Blocks 2 to 4 let a handful of measurements say what otherwise takes one for every option.
    Call it with n architectures and what `SearchSpace.costs` says of them; the result has shape (n, f).
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        self.space = space
        sample = space.sample(SAMPLE, rng)
        extremes = np.array([space.smallest, space.largest], np.int64)
        sample = np.concatenate([sample, extremes[space.is_valid(extremes)]])
        effects = cost_effects(space, sample)
        self._sums, self._levels = _sums(space), _levels(space, effects)
        costs = space.costs(sample)
        self._names = sorted(costs)
        blocks = self._blocks(sample, costs)
        self._mean = np.hstack(blocks).mean(axis=0)
        factors = []
        weights = (cost_weights(space, effects), 1.0, 1.0, blocks[3].std(axis=0))
        for block, weight, share in zip(blocks, weights, SHARES, strict=True):
            spread = block.std(axis=0)
            flat = spread < 1e-9
            factor = np.where(flat, 0.0, weight / np.where(flat, 1.0, spread))
            total = np.sqrt(np.sum((factor * spread) ** 2))
            factors.append(np.sqrt(share) * factor / max(total, 1e-12))
        self._factor = np.concatenate(factors)

    def __call__(self, archs: Archs, costs: Mapping[str, FloatArray]) -> FloatArray:
        """Features of `archs`, shape (n, f)."""
        rows = np.hstack(self._blocks(archs, costs))
        rows -= self._mean
        rows *= self._factor
        return rows

    def _blocks(self, archs: Archs, costs: Mapping[str, FloatArray]) -> list[FloatArray]:
        onehot = self.space.features(archs)
        logs = [np.log(np.maximum(costs[name], 1e-12)) for name in self._names]
        return [
            onehot,
            onehot @ self._sums,
            np.array(logs, float).reshape(len(logs), len(archs)).T,
            onehot @ self._levels,
        ]


def cost_effects(space: SearchSpace, sample: IntArray) -> FloatArray:
    """How much each option changes the logarithm of the costs on average, shape (sum of options,).

    Relative to the variable's mean; the average over the costs, where the variable is active. Without
    costs: numbers by their rank, other options 0, in -1..1.
    """
    costs = space.costs(sample[:1])
    active = space.active(sample)
    effects: list[FloatArray] = []
    for j, variable in enumerate(space.variables):
        count = len(variable.options)
        if not costs:
            numbers = all(isinstance(option, Number) for option in variable.options)
            rank = np.argsort(np.argsort(variable.options)) if numbers else np.zeros(count)
            effects.append(2.0 * rank / max(count - 1, 1) - float(numbers))
            continue
        rows = np.repeat(sample[active[:, j]][:32], count, axis=0)
        if not len(rows):
            effects.append(np.zeros(count))
            continue
        rows[:, j] = np.tile(np.arange(count), len(rows) // count)
        told = space.costs(space.canonical(rows))
        logs = np.mean([np.log(np.maximum(column, 1e-12)) for column in told.values()], axis=0)
        mean = logs.reshape(-1, count).mean(axis=0)
        effects.append(mean - mean.mean())
    return np.concatenate(effects)


def cost_weights(space: SearchSpace, effects: FloatArray) -> FloatArray:
    """A weight for every one-hot column, shape (sum of options,): the spread of its variable's
    `cost_effects`, with a floor of a tenth of the mean; all 1 without costs."""
    if not space.costs([space.smallest]):
        return np.ones(len(effects))
    counts = [len(v.options) for v in space.variables]
    spread = np.array([part.std() for part in np.split(effects, np.cumsum(counts)[:-1])])
    floor = 0.1 * float(spread.mean()) or 1.0
    return np.repeat(np.maximum(spread, floor), counts)


def kinds(space: SearchSpace) -> list[tuple[int, ...]]:
    """Which variables are of one kind: of equal options, and named alike but for some numbers.

    A variable is of several kinds, or of none.
    """
    groups: dict[tuple[str, tuple[object, ...]], list[int]] = {}
    for j, variable in enumerate(space.variables):
        for pattern in _patterns(variable.name):
            groups.setdefault((pattern, variable.options), []).append(j)
    return sorted({tuple(group) for group in groups.values() if len(group) > 1})


def _sums(space: SearchSpace) -> FloatArray:
    """Sums one-hot columns by kind and option, shape (sum of options, kinds x options)."""
    offsets = np.cumsum([0, *(len(v.options) for v in space.variables)])
    columns = []
    for group in kinds(space):
        for option in range(len(space.variables[group[0]].options)):
            column = np.zeros(offsets[-1])
            column[offsets[list(group)] + option] = 1.0
            columns.append(column)
    return np.array(columns, float).reshape(len(columns), offsets[-1]).T


def _levels(space: SearchSpace, effects: FloatArray) -> FloatArray:
    """Replaces a variable's one-hot columns by one of their effects, shape (sum of options, v)."""
    counts = [len(v.options) for v in space.variables]
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.where(owner[:, None] == np.arange(len(counts)), effects[:, None], 0.0)


def _patterns(name: str) -> Sequence[str]:
    """`name` with every non-empty choice of its numbers left open, three numbers at most."""
    parts = re.split(r"(\d+)", name)
    places = range(1, len(parts), 2)
    some = chain.from_iterable(combinations(places, k) for k in range(1, min(len(places), 3) + 1))
    return ["".join("*" if i in hidden else p for i, p in enumerate(parts)) for hidden in some]
