"""Strategy and Problem: what to find, and who proposes where to look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import (
    Architecture,
    Archs,
    Constraint,
    Failure,
    FloatArray,
    Measurement,
    Objective,
    Record,
    Trial,
)

if TYPE_CHECKING:
    from nasplug.contracts.task import Task


@dataclass(frozen=True)
class CandidateScorer:
    """A cheap guess of which architectures are worth measuring, such as a zero-cost proxy."""

    score: Callable[[Archs], FloatArray]
    """Scores of n architectures, shape (n,), higher is better; NaN where there is none."""

    candidates: int = 10
    """How many are scored for one that is measured."""


@dataclass(frozen=True)
class Problem:
    """What a strategy must know. Values travel as float arrays of shape (n, len(metrics)): a column
    a metric in its own unit, a row of NaN for an architecture that could not be measured."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    task: Task | None = None
    seed: int = 0
    closed_form: tuple[str, ...] = ()
    """Metrics that `costs` gives exactly, as measured: computed, never predicted."""

    initial_architectures: tuple[Architecture, ...] = ()
    """Architectures to measure before all others, the most promising first: a strategy takes as
    many as its first population has room for."""

    candidate_scorer: CandidateScorer | None = None
    """Where there is one, a strategy that draws what it proposes draws `candidate_scorer.candidates` for each
    proposal, and takes the best-scored."""

    budget: int | None = None
    """How many measurements the search had when it began; None where that is not known. A search
    that goes on with a larger budget keeps it, so that it asks the same questions again."""

    computed: Callable[[Archs], dict[str, FloatArray]] | None = None
    """What computes `costs`, where evaluators compute some beside the space."""

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The columns of values: the objectives in order, then metrics that only constraints name."""
        names = [o.name for o in self.objectives] + [c.name for c in self.constraints]
        return tuple(dict.fromkeys(names))

    def values(self, results: Sequence[Record]) -> FloatArray:
        """The numbers of `results`, shape (n, len(metrics)); a row of NaN for each that failed."""
        rows = np.full((len(results), len(self.metrics)), np.nan)
        for row, result in zip(rows, results, strict=True):
            if isinstance(result.outcome, Measurement):
                row[:] = [result.outcome.values[name] for name in self.metrics]
        return rows

    def results(self, trials: Sequence[Trial], values: FloatArray) -> list[Record]:
        """The way back from `values`, shape (n, len(metrics)), as of a predictor; NaN rows failed."""
        return [
            Record(
                i,
                trial,
                Failure("not measured")
                if row[0] != row[0]
                else Measurement(dict(zip(self.metrics, row, strict=True))),
            )
            for i, (trial, row) in enumerate(
                zip(trials, np.asarray(values, float).tolist(), strict=True)
            )
        ]

    def losses(self, values: FloatArray) -> FloatArray:
        """The objectives of `values`, all to be minimised, shape (n, objectives)."""
        signs = np.array([o.sign for o in self.objectives], float)
        losses: FloatArray = values[:, : len(self.objectives)] * signs
        return losses

    def violation(self, values: FloatArray) -> FloatArray:
        """By how much the constraints are broken, relative to each limit and summed, shape (n,): 0
        where all hold, infinite where nothing was measured."""
        total = np.zeros(len(values))
        for constraint in self.constraints:
            column = values[:, self.metrics.index(constraint.name)]
            for limit, over in ((constraint.max, 1.0), (constraint.min, -1.0)):
                if limit is not None:
                    total += np.maximum(0.0, over * (column - limit)) / (abs(limit) or 1.0)
        return np.where(np.isnan(values).any(axis=1), np.inf, total)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """All that space and evaluators compute exactly: metric name to shape (n,)."""
        return (self.computed or self.space.costs)(archs)

    def closed_form_values(self, archs: Archs) -> dict[str, FloatArray]:
        """The columns that are computed exactly: metric name to shape (n,)."""
        if not any(name in self.closed_form for name in self.metrics):
            return {}
        costs = self.costs(archs)
        return {name: costs[name] for name in self.metrics if name in self.closed_form}


class Strategy(ABC):
    """Proposes trials; never evaluates, counts the budget, or writes.

    Order of calls: `setup` once; then `ask` and `tell` in turn. `tell` gets results of trials that
    were asked for and not told yet, each once; where the budget ends, some are never told. Everything
    random comes from `problem.seed`: the same answers lead to the same questions, which is how a
    run resumes.
    """

    @abstractmethod
    def setup(self, problem: Problem) -> None:
        """Start anew on `problem`; an error if the strategy cannot solve such a problem."""

    @abstractmethod
    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """1 to `n` trials that were never asked for before, where `n` evaluations can be made now.

        `pending` are those asked for before and not told yet. Architectures are canonical and valid.
        With a larger `n`, the same trials and perhaps more. An empty sequence while nothing is
        pending ends the search; else it means that the strategy waits for what is pending.
        """

    @abstractmethod
    def tell(self, results: Sequence[Record]) -> None:
        """What came of trials that were asked for; `problem.values(results)` are their numbers."""
