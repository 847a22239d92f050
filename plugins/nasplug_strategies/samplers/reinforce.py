"""Reinforce: a policy over the design variables, learnt by policy gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

import numpy as np

from nasplug import (
    CandidateScorer,
    NasplugError,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Problem,
    Range,
    SearchSpace,
    Strategy,
    require_at_least,
)
from nasplug.contracts.types import Architecture, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.pareto import bounds
from nasplug_strategies.candidate_scoring import best_first, draws
from nasplug_strategies.warm_start import warm_start_architectures

TRIES = 20
"""Draws from the policy for one batch before neighbours of what it draws fill it."""

FIRST = 64
"""Architectures of a warm-up that it learns from; others need as many for their first population."""


@final
class Reinforce(Strategy):
    """Draws every variable from its own categorical distribution, and makes the options of
    architectures that did better than the moving average more likely.

    Source: Williams, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning" (1992). The policy is factorised, our own: no variable's distribution
    depends on what another drew, unlike the recurrent controllers of Zoph & Le (ICLR 2017), and
    Abdelfattah et al. (ICLR 2021) do not say what theirs is. For several objectives every episode
    draws weights w on the simplex, the reward is -w . losses (each scaled to 0..1 over what was
    seen), and the logits are linear in w: one policy for the whole front. Only variables that take
    part in an architecture learn from it. An episode that repeats an architecture is learnt from
    again, at no cost. An infeasible episode is rewarded below every feasible one. With a preference
    an episode is the best-scored new one of several draws.

    Args:
        batch: new architectures between two updates.
        learning_rate: step of gradient ascent on the logits.
        baseline_decay: of the moving average that rewards are compared with.
        entropy: weight of the policy's entropy in the objective; keeps it exploring.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        batch: PositiveInt = 5,
        learning_rate: PositiveFloat = 1.0,
        baseline_decay: Annotated[float, Range(ge=0, lt=1)] = 0.9,
        entropy: NonNegativeFloat = 0.03,
        warm_start: str | None = None,
    ) -> None:
        require_at_least("batch", batch, 1)
        if learning_rate <= 0:
            raise NasplugError(f"learning_rate must be above 0, but got {learning_rate}")
        if not 0 <= baseline_decay < 1:
            raise NasplugError(f"baseline_decay must be in [0, 1), but got {baseline_decay}")
        require_at_least("entropy", entropy, 0)
        self.batch = batch
        self.learning_rate = learning_rate
        self.baseline_decay = baseline_decay
        self.entropy = entropy
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start, FIRST)),
            problem,
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """The policy learns once the whole batch is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        rng = np.random.default_rng(problem.seed)
        policy = _Policy(problem.space, len(problem.objectives))
        learner = _Learner(problem, policy, self.learning_rate, self.baseline_decay, self.entropy)
        known: dict[Architecture, FloatArray] = {}
        for start in range(0, len(first), self.batch):
            new = first[start : start + self.batch]
            known.update(zip(new, (yield new), strict=True))
            weights = _simplex(len(new), policy.objectives, rng)
            learner.learn(new, weights, np.array([known[a] for a in new]))
        while True:
            episodes, weights, new = self._draw(
                problem.space, problem.candidate_scorer, policy, known, rng
            )
            if not new:
                return
            known.update(zip(new, (yield new), strict=True))
            learner.learn(episodes, weights, np.array([known[a] for a in episodes]))

    def _draw(
        self,
        space: SearchSpace,
        candidate_scorer: CandidateScorer | None,
        policy: _Policy,
        known: dict[Architecture, FloatArray],
        rng: np.random.Generator,
    ) -> tuple[list[Architecture], FloatArray, list[Architecture]]:
        """Episodes, their weights, and which of them are new: `batch`, or all that are left."""
        episodes: list[Architecture] = []
        rows = []
        new: dict[Architecture, None] = {}
        for _ in range(TRIES):
            weights = _simplex(self.batch, policy.objectives, rng)
            many = draws(candidate_scorer)
            genes = space.canonical(policy.sample(np.repeat(weights, many, axis=0), rng))
            for i, w in enumerate(weights):
                drawn = space.valid(genes[i * many : (i + 1) * many])
                fresh = [a for a in drawn if a not in known and a not in new] or drawn[:1]
                if fresh and len(new) < self.batch:
                    episodes.append(fresh[best_first(candidate_scorer, fresh)[0]])
                    rows.append(w)
                    if episodes[-1] not in known:
                        new.setdefault(episodes[-1])
            if len(new) == self.batch:
                break
        while len(new) < self.batch and (near := self._near(space, episodes, {*known, *new}, rng)):
            episodes.append(near)
            rows.append(_simplex(1, policy.objectives, rng)[0])
            new[near] = None
        return episodes, np.array(rows), list(new)

    def _near(
        self,
        space: SearchSpace,
        episodes: list[Architecture],
        seen: set[Architecture],
        rng: np.random.Generator,
    ) -> Architecture | None:
        """A new neighbour of an episode, so that a policy that settled looks around; else a random
        architecture; None if there are no more."""
        for arch in rng.permutation(np.array(episodes[-self.batch :], np.int64)).tolist():
            fresh = [a for a in space.neighbours(tuple(arch)) if a not in seen]
            if fresh:
                return fresh[int(rng.integers(len(fresh)))]
        random = space.sample(1, rng, seen)
        return tuple(random[0].tolist()) if len(random) else None


@final
class _Policy:
    """Logits of every option given weights: w @ theta, theta of shape (objectives, v, options)."""

    def __init__(self, space: SearchSpace, objectives: int) -> None:
        counts = np.array([len(v.options) for v in space.variables])
        self.objectives = objectives
        self.exists = np.arange(counts.max()) < counts[:, None]
        self.theta = np.zeros((objectives, *self.exists.shape))

    def logits(self, weights: FloatArray) -> FloatArray:
        """Shape (n, v, options); -inf where a variable has no such option."""
        logits: FloatArray = np.tensordot(weights, self.theta, 1)
        return np.where(self.exists, logits, -np.inf)

    def sample(self, weights: FloatArray, rng: np.random.Generator) -> IntArray:
        """One architecture for each row of weights, not canonical, shape (n, v)."""
        logits = self.logits(weights)
        drawn: IntArray = np.argmax(logits + rng.gumbel(size=logits.shape), axis=2)
        return drawn


@final
class _Learner:
    """Gradient ascent on expected reward and entropy, with what rewards are compared with."""

    def __init__(
        self, problem: Problem, policy: _Policy, rate: float, decay: float, entropy: float
    ) -> None:
        self.problem, self.policy = problem, policy
        self.rate, self.decay, self.entropy = rate, decay, entropy
        self.seen = np.empty((0, len(problem.objectives)))
        self.baseline: FloatArray | None = None
        self.spread = 1.0

    def learn(self, archs: list[Architecture], weights: FloatArray, values: FloatArray) -> None:
        """One step; `weights` of shape (n, objectives), `values` of shape (n, metrics)."""
        losses = self._scaled(values)
        if self.baseline is None:
            self.baseline = losses.mean(axis=0)
            self.spread = float(losses.std()) or 1.0
        advantage = ((self.baseline - losses) * weights).sum(axis=1)
        self._ascend(np.array(archs, np.int64), weights, advantage / self.spread)
        self.baseline = self.decay * self.baseline + (1 - self.decay) * losses.mean(axis=0)
        size = float(np.sqrt((advantage**2).mean()))
        self.spread = max(self.decay * self.spread + (1 - self.decay) * size, 1e-6)

    def _scaled(self, values: FloatArray) -> FloatArray:
        """Losses of the feasible in 0..1; of the infeasible above 1, of the failed 2."""
        violation = self.problem.violation(values)
        raw = self.problem.losses(values)
        good = violation == 0
        self.seen = np.concatenate([self.seen, raw[good]])
        self.seen = np.array(bounds(self.seen)) if len(self.seen) else self.seen
        best, worst = bounds(self.seen)
        infeasible = 1 + np.minimum(violation, 1)[:, None]
        return np.where(good[:, None], (raw - best) / (worst - best), infeasible)

    def _ascend(self, archs: IntArray, weights: FloatArray, advantage: FloatArray) -> None:
        logits = self.policy.logits(weights)
        p = np.exp(logits - logits.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        log_p = np.log(np.maximum(p, 1e-300))
        entropy = -(p * log_p).sum(axis=2, keepdims=True)
        chosen = archs[:, :, None] == np.arange(p.shape[2])
        step = advantage[:, None, None] * (chosen - p) - self.entropy * p * (log_p + entropy)
        step *= self.problem.space.active(archs)[:, :, None]
        self.policy.theta += self.rate * np.tensordot(weights, step, (0, 0)) / len(archs)


def _simplex(n: int, objectives: int, rng: np.random.Generator) -> FloatArray:
    """Weights drawn uniformly from the simplex, shape (n, objectives)."""
    weights: FloatArray = rng.dirichlet(np.ones(objectives), n)
    return weights
