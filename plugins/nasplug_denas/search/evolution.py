"""DenasEvolution: new random architectures, mutants and crossovers of the best, epoch by epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import final

import numpy as np

from nasplug import NasplugError, NonNegativeInt, PositiveInt, Problem, Strategy, UnitInterval
from nasplug.contracts.types import Architecture, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.pareto import nondominated
from nasplug_denas.search.limits import Limits, climb
from nasplug_denas.search.operators import crossovers, mutants, structural

log = logging.getLogger(__name__)


@final
class DenasEvolution(Strategy):
    """The evolutionary search engine of DE-NAS (Intel, e2eAIOK), after AutoFormer's (Chen et al., ICCV
    2021); without mutants and crossovers it is its random engine.

    An epoch measures `population` new random architectures, then `mutants` and `crossovers` of the best
    `parents` of all measured so far. As published, 10 epochs are 1,000 measurements.

    Only architectures that keep the limits on computed metrics (params, macs, layers, ..) are measured;
    how many were drawn that do not is logged. Limits on measured ones, such as latency, rank what
    breaks them after what keeps them. Other than in the original no architecture is measured twice,
    what was just measured has children in the same epoch, mutation reaches every variable, and where
    too few architectures within the limits are found, the nearest ones are climbed from. With several
    objectives the better is the one of the earlier non-dominated front.

    Args:
        population: random ones of an epoch.
        parents: how many of all measured have children.
        mutants: children of one parent in an epoch.
        crossovers: children of two parents in an epoch, which give each gene with equal chance.
        m_prob: probability that a mutant draws a layer's variable anew.
        s_prob: the same for a variable of the whole network, such as its depth or width.
        scale_factor: candidates that may be drawn for one that is wanted.
        structure: the variables that `s_prob` is about; null: those that always take part and whose names
            have no number of a layer, as heads3 and encoder.layer2.ffn have.
    """

    def __init__(
        self,
        population: PositiveInt = 50,
        parents: PositiveInt = 50,
        mutants: NonNegativeInt = 25,
        crossovers: NonNegativeInt = 25,
        m_prob: UnitInterval = 0.2,
        s_prob: UnitInterval = 0.4,
        scale_factor: PositiveInt = 10,
        structure: Sequence[str] | None = None,
    ) -> None:
        self.population = population
        self.parents = parents
        self.mutants = mutants
        self.crossovers = crossovers
        self.m_prob = m_prob
        self.s_prob = s_prob
        self.scale_factor = scale_factor
        self.structure = structure

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        whole = structural(problem.space, self.structure)
        rates = np.where(whole, self.s_prob, self.m_prob)
        self._ask_tell = AskTell(self._search(problem, rates), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the random ones, or of the children, of the epoch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Parents are chosen once all that was asked of them is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, rates: FloatArray) -> Search:
        space, rng = problem.space, np.random.default_rng(problem.seed)
        limits, seen = Limits(problem), set[Architecture]()
        parents: list[Architecture] = []
        values: FloatArray = np.zeros((0, len(problem.metrics)))
        given = [tuple(a) for a in space.valid(list(problem.initial_architectures))]
        epoch = 0
        while True:
            epoch += 1
            first = limits.keep(list(dict.fromkeys(given)))[: self.population]
            seen.update(first)
            random = first + self._random(problem, limits, self.population - len(first), rng, seen)
            given = []
            if not random and not seen:
                raise NasplugError(
                    f"an architecture must keep the limits {limits.text}, but none of {limits.drawn} "
                    "does; widen them"
                )
            if random:
                told = yield random
                parents, values = parents + random, np.concatenate([values, told])
            best = [parents[i] for i in _best_first(problem, values)[: self.parents]]
            genes = np.array(best, np.int64)
            children: list[Architecture] = []
            if best:
                mutate = partial(mutants, space, genes, rates, rng)
                children += self._breed(limits, self.mutants, mutate, seen)
                cross = partial(crossovers, space, genes, rng)
                children += self._breed(limits, self.crossovers, cross, seen)
            log.info(
                "denas_evolution, epoch %d: %d random, %d children; %d of %d drawn so far break a limit",
                *(epoch, len(random), len(children), limits.refused, limits.drawn),
            )
            if not random and not children:
                return
            if children:
                told = yield children
                parents, values = parents + children, np.concatenate([values, told])

    def _random(
        self,
        problem: Problem,
        limits: Limits,
        n: int,
        rng: np.random.Generator,
        seen: set[Architecture],
    ) -> list[Architecture]:
        """`n` new random architectures within the limits, added to `seen`; fewer where there are no
        more."""
        found: list[Architecture] = []
        near: list[Architecture] = []
        wanted = n * _draws(problem)
        for _ in range(self.scale_factor):
            if len(found) >= wanted:
                break
            drawn = problem.space.sample(wanted, rng, exclude={*seen, *found, *near})
            archs = [tuple(row) for row in drawn.tolist()]
            kept = dict.fromkeys(limits.keep(archs))
            found += kept
            near += [a for a in archs if a not in kept]
            if len(archs) < wanted:
                break
        for arch in limits.nearest_first(near)[: 4 * n]:
            if len(found) >= n:
                break
            climbed = climb(limits, problem.space, arch)
            if climbed is not None and climbed not in {*seen, *found}:
                found.append(climbed)
        return _preferred(problem, found, n, seen)

    def _breed(
        self, limits: Limits, n: int, make: Callable[[int], IntArray], seen: set[Architecture]
    ) -> list[Architecture]:
        """At most `n` new children within the limits, added to `seen`."""
        found: dict[Architecture, None] = {}
        wanted = n * _draws(limits.problem)
        for _ in range(self.scale_factor):
            if len(found) >= wanted:
                break
            children = limits.problem.space.valid(make(wanted))
            new = [a for a in dict.fromkeys(children) if a not in seen and a not in found]
            found |= dict.fromkeys(limits.keep(new))
        return _preferred(limits.problem, list(found), n, seen)


def _draws(problem: Problem) -> int:
    """How many candidates to draw for one that is measured."""
    return problem.candidate_scorer.candidates if problem.candidate_scorer else 1


def _preferred(
    problem: Problem, found: list[Architecture], n: int, seen: set[Architecture]
) -> list[Architecture]:
    """The first `n`, or the best-scored where there is a preference; they are added to `seen`."""
    if problem.candidate_scorer is not None and found:
        scores = np.asarray(problem.candidate_scorer.score(found), float)
        order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
        found = [found[i] for i in order]
    seen.update(found[:n])
    return found[:n]


def _best_first(problem: Problem, values: FloatArray) -> list[int]:
    """Rows of `values`: the feasible, front by front; then the rest, the least violation first."""
    losses, violation = problem.losses(values), problem.violation(values)
    left = np.flatnonzero(violation == 0)
    order: list[int] = []
    if losses.shape[1] == 1:
        order = left[np.argsort(losses[left, 0], kind="stable")].tolist()
        left = left[:0]
    while len(left):
        front = nondominated(losses[left])
        order += left[front].tolist()
        left = left[~front]
    rest = np.flatnonzero((violation > 0) & np.isfinite(violation))
    order += rest[np.argsort(violation[rest], kind="stable")].tolist()
    return order
