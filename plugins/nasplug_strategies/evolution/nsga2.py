"""NSGA-II on arrays.

pymoo has it too, but keeps an object an individual: for 20,000 predicted evaluations, LINAS's inner
search, that is most of the time. Source: Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist
multiobjective genetic algorithm: NSGA-II" (2002).
"""

from __future__ import annotations

from typing import final

import numpy as np

from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug_strategies.evolution.engine import Exhausted, Parts
from nasplug_strategies.evolution.operators import breed
from nasplug_strategies.nondominated_order import nondominated_order


@final
class NSGA2:
    """Binary tournaments by rank and crowding, feasible first; the best of parents and children
    survive. With one objective, a genetic algorithm with an elite. An `Engine`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._rng = np.random.default_rng(parts.seed)
        self._genes, self._losses, self._violation = parts.genes, parts.losses, parts.violation
        self._children = parts.genes[:0]

    def ask(self) -> list[Architecture]:
        """The population is kept best first, so the smaller place wins a tournament."""
        parts, rng = self._parts, self._rng

        def make(slots: IntArray) -> IntArray:
            places = rng.integers(0, len(self._genes), (2, len(slots), 2)).min(axis=2)
            one, two = self._genes[places]
            return parts.variation.children(parts.space, one, two, rng)

        archs = breed(parts.space, make, parts.offspring, parts.seen, rng, parts.candidate_scorer)
        if len(archs) < parts.offspring:
            raise Exhausted(archs)
        self._children = np.array(archs, np.int64)
        return archs

    def tell(self, losses: FloatArray, violation: FloatArray) -> None:
        """Keep the best of parents and children."""
        genes = np.concatenate([self._genes, self._children])
        losses = np.concatenate([self._losses, losses])
        violation = np.concatenate([self._violation, violation])
        best = nondominated_order(losses, violation)[: self._parts.population]
        self._genes, self._losses, self._violation = genes[best], losses[best], violation[best]
