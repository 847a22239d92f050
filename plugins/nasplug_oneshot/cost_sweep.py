"""A front from a search that knows one aim: the weight of the costs is swept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from nasplug import NasplugError, Problem, require_at_least
from nasplug.contracts.types import Architecture, FloatArray
from nasplug_oneshot.costs import Costs, Penalty
from nasplug_oneshot.proposals import BATCH, Batches, the_rest
from nasplug_oneshot.ranking import feasible_first

Search = Callable[[Penalty | None, int], Iterator[Architecture]]
"""Trains against a penalty (None: there is none), with a seed; then architectures, best first."""


def check(first: int, derived: int, sweep: Sequence[float], limit: float) -> None:
    """An error in one line for knobs that make no sweep."""
    require_at_least("strategy.first", first, 0)
    require_at_least("strategy.derived", derived, 1)
    require_at_least("strategy.limit", limit, 0)
    if not sweep or min(sweep) < 0:
        raise NasplugError(
            f"strategy.sweep must be weights of at least 0, but got {list(sweep)}; e.g. [0, 0.1]"
        )


def opening(problem: Problem, costs: Costs, n: int, rng: np.random.Generator) -> list[Architecture]:
    """What is measured before anything is trained: `n` of `problem.initial_architectures`,
    filled up at random where costs must be learnt."""
    archs = list(problem.initial_architectures[:n])
    more = n - len(archs) if costs.learnt else 0
    return archs + [tuple(row) for row in problem.space.sample(more, rng, archs).tolist()]


def swept(
    problem: Problem,
    costs: Costs,
    search: Search,
    first: int,
    derived: int,
    sweep: Sequence[float],
    limit: float,
) -> Batches:
    """The opening; for every weight of `sweep` a search and the `derived` best of it; then, in turn,
    the next best of each search; then all others. A problem without costs is searched once.

    Several costs share a weight in a random proportion of each search's own.
    """
    rng = np.random.default_rng(problem.seed)
    seen: set[Architecture] = set()

    def new(archs: Iterator[Architecture], n: int) -> list[Architecture]:
        batch = list(islice((a for a in archs if a not in seen), n))
        seen.update(batch)
        return batch

    yield new(iter(opening(problem, costs, first, rng)), first)
    goals = len(costs.problem.objectives)
    found = []
    for weight in sweep if goals else [0.0]:
        direction: FloatArray = rng.dirichlet(np.ones(goals)) if goals else np.zeros(0)
        penalty = costs.penalty(weight, direction, limit) if costs.names else None
        archs = search(penalty, int(rng.integers(2**31)))
        found.append(feasible_first(archs, costs.feasible))
        yield new(found[-1], derived)
    while batch := [arch for archs in found for arch in new(archs, -(-BATCH // len(found)))]:
        yield batch
    yield from the_rest(problem.space, seen, rng)
