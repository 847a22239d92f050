"""What every strategy must do."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.types import (
    Architecture,
    Constraint,
    FloatArray,
    Measurement,
    Objective,
    full_trials,
)
from nasplug.plugins.building import build
from nasplug.plugins.describing import describe
from nasplug.testing.fakes import ToyEvaluator, ToySpace

LIMIT = 239.0
"""Parameters that 15 % of random `ToySpace(layers=6)` have."""


class StrategyContract:
    """Give a `strategy` fixture, not set up; `objectives` is how many it is tested with.

    `handles_constraints` says whether it claims to propose feasible architectures more often than
    chance does: False for random search and the like.
    """

    objectives = 2
    budget = 60
    handles_constraints = True

    def problem(self, space: SearchSpace | None = None, seed: int = 0) -> Problem:
        """Over a space of 363 perceptrons, by default."""
        goals = (
            Objective("score", "", "maximize"),
            Objective("cost", "ms", "minimize"),
            Objective("macs", "", "minimize"),
            Objective("params", "", "minimize"),
        )[: self.objectives]
        closed_form = tuple(g.name for g in goals if g.name in ("macs", "params"))
        return Problem(space or ToySpace(layers=5), goals, seed=seed, closed_form=closed_form)

    def values(self, problem: Problem, archs: Sequence[Architecture], fails: int = 0) -> FloatArray:
        """What the toy evaluator measures."""
        outcomes = ToyEvaluator(fails).evaluate(full_trials(archs), ["score", "cost"])
        costs = problem.space.costs(archs)
        rows = np.full((len(archs), len(problem.metrics)), np.nan)
        for i, outcome in enumerate(outcomes):
            if isinstance(outcome, Measurement):
                known = {**outcome.values, **{name: costs[name][i] for name in costs}}
                rows[i] = [known[name] for name in problem.metrics]
        return rows

    def drive(
        self, strategy: Strategy, problem: Problem, budget: int, fails: int = 0
    ) -> list[Architecture]:
        """Ask and tell until the budget is spent; what was asked, in order."""
        strategy.setup(problem)
        asked: list[Architecture] = []
        while len(asked) < budget:
            trials = list(strategy.ask(budget - len(asked)))[: budget - len(asked)]
            if not trials:
                break
            archs = [trial.arch for trial in trials]
            strategy.tell(problem.results(trials, self.values(problem, archs, fails)))
            asked += archs
        return asked

    def test_asks_are_new_valid_and_canonical(self, strategy: Strategy) -> None:
        for space in (ToySpace(layers=5), ToySpace(layers=5, even=True)):
            asked = self.drive(strategy, self.problem(space), self.budget)
            assert len(set(asked)) == len(asked) == self.budget
            assert space.valid(asked) == asked
            assert all(type(gene) is int for arch in asked for gene in arch)

    def test_one_seed_one_history(self, strategy: Strategy) -> None:
        first = self.drive(strategy, self.problem(seed=3), self.budget)
        assert self.drive(strategy, self.problem(seed=3), self.budget) == first

    def test_the_budget_does_not_change_the_questions(self, strategy: Strategy) -> None:
        long = self.drive(strategy, self.problem(), self.budget)
        short = self.drive(strategy, self.problem(), self.budget // 2 + 1)
        assert long[: len(short)] == short

    def test_fewer_asked_are_the_first_of_more(self, strategy: Strategy) -> None:
        strategy.setup(self.problem())
        few = list(strategy.ask(1))
        strategy.setup(self.problem())
        assert list(strategy.ask(50))[:1] == few[:1]

    def test_results_may_be_told_in_any_order(self, strategy: Strategy) -> None:
        """What is asked next, when all is told, does not depend on which result came first."""
        histories = []
        for backwards in (False, True):
            problem = self.problem()
            strategy.setup(problem)
            asked: list[Architecture] = []
            while len(asked) < 20 and (trials := list(strategy.ask(20 - len(asked)))):
                archs = [trial.arch for trial in trials]
                results = problem.results(trials, self.values(problem, archs))
                for result in results[::-1] if backwards else results:
                    strategy.tell([result])
                asked += archs
            histories.append(asked)
        assert histories[0] == histories[1]

    def test_what_is_pending_is_not_asked_again(self, strategy: Strategy) -> None:
        strategy.setup(self.problem())
        first = list(strategy.ask(2))
        assert not set(first) & set(strategy.ask(50, pending=first))

    def test_survives_failures(self, strategy: Strategy) -> None:
        asked = self.drive(strategy, self.problem(), self.budget, fails=2)
        assert len(set(asked)) == self.budget
        everything = self.drive(strategy, self.problem(), 30, fails=1)
        assert len(set(everything)) == 30

    def test_a_small_space_is_asked_whole(self, strategy: Strategy) -> None:
        for space in (ToySpace(layers=2), ToySpace(layers=2, even=True)):
            asked = self.drive(strategy, self.problem(space), space.size + 10)
            assert len(set(asked)) == len(asked) == space.size

    def test_constraints_are_obeyed_in_the_end(self, strategy: Strategy) -> None:
        """Of what is asked in the second half of a budget, at least 40 % keep a limit that 15 % of
        random architectures keep (in the mean of three seeds). Random search does not pass."""
        if not self.handles_constraints:
            import pytest

            pytest.skip("handles_constraints is False: it does not claim to prefer the feasible")
        shares = []
        for seed in range(3):
            problem = self.constrained(seed)
            asked = self.drive(strategy, problem, self.budget)
            assert len(set(asked)) == self.budget
            late = problem.space.costs(asked[self.budget // 2 :])["params"]
            shares.append(np.mean(late >= LIMIT))
        assert np.mean(shares) >= 0.4, f"{np.mean(shares):.2f} keep the limit; 0.15 at random"

    def constrained(self, seed: int = 0) -> Problem:
        """Over 1,092 perceptrons, of which those of at least `LIMIT` parameters are feasible."""
        plain = self.problem(ToySpace(layers=6), seed)
        return replace(plain, constraints=(Constraint("params", min=LIMIT),))

    def test_is_described_and_pickles(self, strategy: Strategy) -> None:
        again = build(json.loads(json.dumps(describe(strategy))))
        first = self.drive(strategy, self.problem(), 20)
        assert self.drive(again, self.problem(), 20) == first
        assert self.drive(pickle.loads(pickle.dumps(strategy)), self.problem(), 20) == first
