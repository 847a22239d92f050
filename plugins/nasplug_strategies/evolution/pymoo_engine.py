"""pymoo's algorithms as engines: parents, children and generations on option indices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, final

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.termination.max_gen import MaximumGenerationTermination

from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug_strategies.evolution.engine import Exhausted, Parts
from nasplug_strategies.evolution.operators import breed

Select = Callable[[Population, int, np.random.Generator], IntArray]
"""Population of p, number of pairs k: the parents' places in the population, shape (k, 2)."""


@final
class PymooEngine:
    """A pymoo algorithm, asked and told. An `Engine`.

    `build` gets the evaluated first population; `constraints` says whether the algorithm is told
    of them.
    """

    def __init__(
        self, parts: Parts, build: Callable[[Parts, Population], Algorithm], constraints: bool
    ) -> None:
        first = Population.new("X", parts.genes)
        first.set("F", parts.losses, "G", parts.violation[:, None])
        self._algorithm = build(parts, first)
        if not isinstance(self._algorithm.termination, MaximumGenerationTermination):
            self._algorithm.termination = NoTermination()
        options = np.array([len(v.options) for v in parts.space.variables])
        problem = Problem(
            n_var=len(options),
            n_obj=parts.objectives,
            n_ieq_constr=int(constraints),
            xl=0,
            xu=options - 1,
        )
        self._algorithm.setup(problem, seed=parts.seed)
        with _quiet():
            self._algorithm.tell(self._algorithm.ask())
        self._children = first

    def ask(self) -> list[Architecture]:
        """The next generation."""
        self._children = self._algorithm.ask()
        return [tuple(genes) for genes in self._children.get("X").tolist()]

    def tell(self, losses: FloatArray, violation: FloatArray) -> None:
        """Let the algorithm select."""
        self._children.set("F", losses, "G", violation[:, None])
        with _quiet():
            self._algorithm.tell(self._children)


@contextmanager
def _quiet() -> Iterator[None]:
    """pymoo's survivals divide by zero on degenerate fronts, which they then handle, and one of them
    changes everybody's warning filters."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        yield


@final
class Mating(InfillCriterion):  # type: ignore[misc]  # pymoo has no types
    """pymoo's place for parents to children, filled with `breed`: never an architecture twice."""

    def __init__(self, parts: Parts, select: Select) -> None:
        super().__init__()
        self.parts, self.select = parts, select
        self.crossover = SimpleNamespace(n_parents=2)  # MOEA/D asks how many parents to choose

    def do(
        self,
        problem: Any,
        pop: Population,
        n_offsprings: int,
        parents: Population | None = None,
        random_state: np.random.Generator | None = None,
        **_: Any,
    ) -> Population:
        """`n_offsprings` new individuals; one for each pair where the algorithm chose `parents`,
        individuals of shape (n, 2). Raises Exhausted."""
        assert random_state is not None
        rng = random_state
        space, seen = self.parts.space, self.parts.seen
        if parents is None:
            n, genes = n_offsprings, np.array([individual.X for individual in pop])

            def pairs(slots: IntArray) -> IntArray:
                return genes[self.select(pop, len(slots), rng)]
        else:
            n, chosen = len(parents), np.array([[i.X for i in pair] for pair in parents])

            def pairs(slots: IntArray) -> IntArray:
                return chosen[slots]

        def make(slots: IntArray) -> IntArray:
            both = pairs(slots)
            return self.parts.variation.children(space, both[:, 0], both[:, 1], rng)

        archs = breed(space, make, n, seen, rng, self.parts.candidate_scorer)
        if len(archs) < n:
            raise Exhausted(archs)
        return Population.new("X", np.array(archs, np.int64))


def at_random(pop: Population, n: int, rng: np.random.Generator) -> IntArray:
    """Every parent with equal chance."""
    return rng.integers(0, len(pop), (n, 2))


def tournament(*keys: str) -> Select:
    """Binary tournaments: the less infeasible wins, then the smaller of each key in turn ("-key":
    the larger), then chance. Keys are attributes that the survival gives to individuals."""

    def select(pop: Population, n: int, rng: np.random.Generator) -> IntArray:
        columns = [_column(pop, key) for key in ("CV", *keys)]
        order = np.lexsort([rng.random(len(pop)), *reversed(columns)])
        place = np.argsort(order)
        pairs = rng.integers(0, len(pop), (2, n, 2))
        winners: IntArray = np.where(place[pairs[0]] < place[pairs[1]], pairs[0], pairs[1])
        return winners

    return select


def niche_tournament(pop: Population, n: int, rng: np.random.Generator) -> IntArray:
    """U-NSGA-III's (Seada and Deb 2016): feasibility first; within a niche rank, then the distance
    to its reference line; between niches chance."""
    cv, niche, rank, distance = (
        _column(pop, key) for key in ("CV", "niche", "rank", "dist_to_niche")
    )
    one, two = rng.integers(0, len(pop), (2, n, 2))
    worse = np.sign(cv[one] - cv[two])
    inside = (niche[one] == niche[two]) & (cv[one] == 0)
    worse += (worse == 0) * inside * np.sign(rank[one] - rank[two])
    worse += (worse == 0) * inside * np.sign(distance[one] - distance[two])
    worse += (worse == 0) * rng.choice([-1, 1], (n, 2))
    winners: IntArray = np.where(worse < 0, one, two)
    return winners


def _column(pop: Population, key: str) -> FloatArray:
    """One attribute, shape (p,); 0 where it is not set, as on the infeasible."""
    sign = -1.0 if key.startswith("-") else 1.0
    values = [individual.get(key.removeprefix("-")) for individual in pop]
    return sign * np.array([0.0 if value is None else np.squeeze(value) for value in values], float)
