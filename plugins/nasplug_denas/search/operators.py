"""Mutation and crossover as in DE-NAS, for many architectures at once."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nasplug import SearchSpace
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import BoolArray, FloatArray, IntArray

OF_A_LAYER = re.compile(r"(layer|block)[._]?\d|\d$")
"""How the names of a layer's variables look: heads3, encoder.layer2.ffn."""


def structural(space: SearchSpace, names: Sequence[str] | None) -> BoolArray:
    """Which variables are of the whole network, not of a layer, shape (v,): those that `names` names, or
    those that always take part and whose names have no number of a layer."""
    known = [v.name for v in space.variables]
    for name in names or ():
        if name not in known:
            raise unknown("design variable", name, known)
    if names is not None:
        return np.array([name in names for name in known])
    return np.array([not v.conditions and not OF_A_LAYER.search(v.name) for v in space.variables])


def mutants(
    space: SearchSpace,
    parents: IntArray,
    rates: FloatArray,
    rng: np.random.Generator,
    n: int,
) -> IntArray:
    """`n` children of random `parents`, shape (n, v): each variable drawn anew at its rate of `rates`,
    shape (v,); one that takes no part in the parent always, so that a layer that is added is random."""
    chosen = parents[rng.integers(0, len(parents), n)]
    drawn = rng.integers(0, space.option_counts, chosen.shape)
    anew = (rng.random(chosen.shape) < rates) | ~space.active(chosen)
    return np.where(anew, drawn, chosen)


def crossovers(space: SearchSpace, parents: IntArray, rng: np.random.Generator, n: int) -> IntArray:
    """`n` children of two different `parents` each, shape (n, v): each gene from either with equal chance;
    one that takes no part in one parent from the other, and in neither is random."""
    first = rng.integers(0, len(parents), n)
    second = (first + rng.integers(1, max(len(parents), 2), n)) % len(parents)
    mine, theirs = parents[first], parents[second]
    on_mine, on_theirs = space.active(mine), space.active(theirs)
    swap = np.where(on_mine & on_theirs, rng.random(mine.shape) < 0.5, on_theirs)
    genes = np.where(swap, theirs, mine)
    drawn = rng.integers(0, space.option_counts, genes.shape)
    return np.where(on_mine | on_theirs, genes, drawn)
