"""Crossover and mutation of option indices, for many architectures at once.

Architectures are rows of int64 arrays of shape (n, v). Float operators and rounding mostly round
back to the parent where a variable has three options; these change whole options, and give a
variable that becomes active a real value instead of the 0 that stands for "inactive".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasplug import CandidateScorer, NasplugError, SearchSpace
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import Architecture, BoolArray, IntArray
from nasplug_strategies.candidate_scoring import best_first, draws

Masks = Callable[[tuple[int, int], np.random.Generator], BoolArray]


def uniform(shape: tuple[int, int], rng: np.random.Generator) -> BoolArray:
    """Every gene from either parent with equal chance (Syswerda 1989), shape (n, v)."""
    return rng.random(shape) < 0.5


def two_point(shape: tuple[int, int], rng: np.random.Generator) -> BoolArray:
    """The genes between two random places from the second parent, shape (n, v)."""
    n, v = shape
    ends = np.sort(rng.integers(0, v + 1, (n, 2)), axis=1)
    places = np.arange(v)
    return (places >= ends[:, :1]) & (places < ends[:, 1:])


CROSSOVERS: dict[str, Masks] = {"uniform": uniform, "two_point": two_point}
"""Name to what says which genes come from the second parent."""


@dataclass(frozen=True)
class Variation:
    """How children come from parents: crossover with probability `crossover_rate` per pair, then
    every variable takes another of its options with probability `mutation_rate`."""

    crossover: Literal["uniform", "two_point"] = "uniform"
    crossover_rate: float = 0.9
    mutation_rate: float = 0.02

    def __post_init__(self) -> None:
        if self.crossover not in CROSSOVERS:
            raise unknown("crossover", self.crossover, CROSSOVERS)
        for name in ("crossover_rate", "mutation_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise NasplugError(f"{name} must be in 0..1, but got {getattr(self, name)}")

    def children(
        self, space: SearchSpace, first: IntArray, second: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """One child a pair of parents, shape (n, v), not canonical yet and perhaps not valid.

        A gene that is inactive in one parent comes from the other; one inactive in both is random.
        """
        counts = np.array([len(v.options) for v in space.variables])
        on = space.active(np.concatenate([first, second]))
        on_first, on_second = on[: len(first)], on[len(first) :]
        random = rng.integers(0, counts, first.shape)
        mine = np.where(on_first, first, np.where(on_second, second, random))
        theirs = np.where(on_second, second, mine)
        swap = CROSSOVERS[self.crossover](first.shape, rng)
        swap &= rng.random((len(first), 1)) < self.crossover_rate
        return random_reset(np.where(swap, theirs, mine), counts, self.mutation_rate, rng)


def random_reset(
    genes: IntArray, counts: IntArray, rate: float, rng: np.random.Generator
) -> IntArray:
    """Every gene replaced by another of its `counts` options with probability `rate`, shape (n, v)."""
    hit = (rng.random(genes.shape) < rate) & (counts > 1)
    step = rng.integers(1, np.maximum(counts, 2), genes.shape)
    return np.where(hit, (genes + step) % counts, genes)


Make = Callable[[IntArray], IntArray]
"""Slot numbers, shape (k,), to a child for each, shape (k, v)."""


def breed(
    space: SearchSpace,
    make: Make,
    n: int,
    seen: set[Architecture],
    rng: np.random.Generator,
    candidate_scorer: CandidateScorer | None = None,
) -> list[Architecture]:
    """`n` distinct valid architectures outside `seen`, to which they are added; the i-th is a child
    that `make` gave for slot i.

    A slot whose child is a repeat gets several more at a time, and in the end, where the parents
    have nothing new to give, a random architecture. Fewer than `n` means that the space holds no
    more. With a preference each slot gets as many children as that says, and keeps the best-scored.
    """
    found: dict[int, Architecture] = {}
    left = list(range(n))
    for copies in (1, 4, 16):
        slots = np.repeat(left, copies * draws(candidate_scorer))
        genes = space.canonical(make(slots))
        good = space.is_valid(genes)
        children = [tuple(row) for row in genes[good].tolist()]
        owners = slots[good].tolist()
        for place in best_first(candidate_scorer, children):
            slot, child = owners[place], children[place]
            if slot not in found and child not in seen:
                found[slot] = child
                seen.add(child)
        left = [slot for slot in left if slot not in found]
        if not left:
            break
    else:
        random = [tuple(row) for row in space.sample(len(left), rng, exclude=seen).tolist()]
        seen.update(random)
        found.update(zip(left, random, strict=False))
    return [found[slot] for slot in sorted(found)]
