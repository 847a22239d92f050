"""Strategy `enas`: a controller learns which paths of a super-network do well, while they train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, final

import numpy as np
import torch

from nasplug import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Problem,
    Range,
    Strategy,
    progress,
    require_at_least,
    seeded,
)
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell
from nasplug_oneshot.controller import Controller
from nasplug_oneshot.cost_sweep import check, swept
from nasplug_oneshot.costs import Costs, Penalty
from nasplug_oneshot.inherited_quality import Inherited
from nasplug_oneshot.proposals import nonempty
from nasplug_oneshot.shared_weights import SharedWeights, Training, pairs, the_task

TRIES = 16
"""Draws from the policy for one valid path."""


@final
class Enas(Strategy):
    """Shared weights learn on paths that a controller draws; the controller learns which are good.

    Of every two training batches the first trains the shared weights along one path that the
    controller draws, the second rewards the `episodes` paths that it draws then, by policy gradient:
    the reward is minus the loss, and minus the costs, compared with the mean of the `episodes`, which
    see the same batch. At last `samples` architectures are drawn, and proposed by their loss with
    inherited weights, from the best down. Source: Pham, Guan, Zoph, Le, Dean, "Efficient neural
    architecture search via parameter sharing" (ICML 2018).

    Costs and limits are those of `GradientSearch`: a search for every weight in `sweep`.

    Args:
        training: of the shared weights.
        hidden: width of the controller.
        controller_lr: learning rate of the controller (Adam).
        episodes: paths that a step of the controller compares, on one batch.
        entropy: weight of the policy's entropy; keeps it exploring.
        weights_first: epochs in which the shared weights alone learn.
        samples: how many are drawn and measured with inherited weights, at a time.
        first: how many are measured first, where costs must be learnt.
        derived: how many architectures are proposed of each search before the next begins.
        sweep: weights of the costs, in nats for a standard deviation of a random architecture's.
        limit: nats for each breaking of a limit by its whole size.
        device: of the training; auto, cpu, cuda, ..
    """

    def __init__(
        self,
        training: Training,
        hidden: PositiveInt = 64,
        controller_lr: PositiveFloat = 0.005,
        episodes: Annotated[int, Range(ge=2)] = 4,
        entropy: NonNegativeFloat = 1e-3,
        weights_first: NonNegativeInt = 5,
        samples: PositiveInt = 50,
        first: NonNegativeInt = 12,
        derived: PositiveInt = 4,
        sweep: Sequence[NonNegativeFloat] = (0.0, 0.1, 1.0),
        limit: NonNegativeFloat = 1.0,
        device: str = "auto",
    ) -> None:
        check(first, derived, sweep, limit)
        require_at_least("strategy.hidden", hidden, 1)
        require_at_least("strategy.episodes", episodes, 2)
        require_at_least("strategy.samples", samples, 1)
        training.check_first(weights_first)
        self.training = training
        self.hidden = hidden
        self.controller_lr = controller_lr
        self.episodes = episodes
        self.entropy = entropy
        self.weights_first = weights_first
        self.samples = samples
        self.first = first
        self.derived = derived
        self.sweep = list(sweep)
        self.limit = limit
        self.device = device

    def setup(self, problem: Problem) -> None:
        """Start anew; an error without a task."""
        self._costs = Costs(problem, tuple(the_task(problem).metrics))
        self._problem = problem

        def search(penalty: Penalty | None, seed: int) -> Iterator[Architecture]:
            return self._derive(problem, penalty, seed, *self.train(problem, penalty, seed))

        batches = swept(
            problem, self._costs, search, self.first, self.derived, self.sweep, self.limit
        )
        self._ask_tell = AskTell(nonempty(batches), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`; trains when a search's turn comes."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Costs are learnt from."""
        self._ask_tell.tell(results)
        self._costs.tell([result.arch for result in results], self._problem.values(results))

    def train(
        self, problem: Problem, penalty: Penalty | None, seed: int
    ) -> tuple[Controller, SharedWeights]:
        """The controller and the shared weights after one search."""
        shared = SharedWeights(problem, self.training, self.device, seed)
        with seeded(seed), progress("training with a controller", self.training.epochs) as bar:
            learner = _Learner(self, problem, shared, penalty, seed)
            for epoch in range(self.training.epochs):
                loss = learner.epoch(epoch, controller_too=epoch >= self.weights_first)
                bar.advance(1, loss=f"{loss:.3f}", entropy=f"{learner.entropy:.2f}")
        return learner.controller, shared

    def _derive(
        self,
        problem: Problem,
        penalty: Penalty | None,
        seed: int,
        controller: Controller,
        shared: SharedWeights,
    ) -> Iterator[Architecture]:
        """What the policy draws, `samples` at a time, each time by inherited loss and penalty."""
        generator = torch.Generator().manual_seed(seed)
        inherited = Inherited(shared)
        seen: set[Architecture] = set()
        while True:
            with torch.no_grad():
                genes = controller(4 * self.samples, generator).genes.numpy()
            new = [a for a in dict.fromkeys(problem.space.valid(genes)) if a not in seen]
            new = new[: self.samples]
            if not new:
                return
            seen.update(new)
            losses = inherited.losses(new) + (penalty(new) if penalty else 0.0)
            for i in np.argsort(losses, kind="stable"):
                yield new[i]


@final
class _Learner:
    """The controller of one search, and how it and the shared weights learn in turn."""

    def __init__(
        self,
        strategy: Enas,
        problem: Problem,
        shared: SharedWeights,
        penalty: Penalty | None,
        seed: int,
    ) -> None:
        self.strategy = strategy
        self.space = problem.space
        self.shared = shared
        self.penalty = penalty
        self.generator = torch.Generator().manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.controller = Controller(problem.space, strategy.hidden)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), strategy.controller_lr)
        self.entropy = 0.0

    def epoch(self, number: int, controller_too: bool) -> float:
        """One pass over the data; the mean loss of the shared weights' half."""
        losses = []
        for _, batch, other in pairs(self.shared.batches(number)):
            self.shared.supernet.activate(self._path())
            losses.append(self.shared.step(batch))
            if controller_too:
                self._learn(other)
        return float(np.mean(losses))

    def _path(self) -> Architecture:
        """A valid architecture from the policy; a random one where the policy draws none."""
        with torch.no_grad():
            drawn = self.space.valid(self.controller(TRIES, self.generator).genes.numpy())
        return drawn[0] if drawn else tuple(self.space.sample(1, self.rng)[0].tolist())

    def _learn(self, batch: Any) -> None:
        """One step of the controller."""
        sample = self.controller(self.strategy.episodes, self.generator)
        archs = self.space.canonical(sample.genes.numpy())
        valid = np.flatnonzero(self.space.is_valid(archs))
        if len(valid) < 2:
            return
        rewards = -self._losses([tuple(row) for row in archs[valid].tolist()], batch)
        advantage = torch.from_numpy(rewards - rewards.mean()).float()
        kept = torch.from_numpy(valid)
        self.entropy = float(sample.entropy.detach().mean())
        objective = (advantage * sample.log_p[kept]).mean()
        objective = objective + self.strategy.entropy * sample.entropy.mean()
        self.optimizer.zero_grad()
        (-objective).backward()
        self.optimizer.step()

    def _losses(self, archs: list[Architecture], batch: Any) -> FloatArray:
        """Of each path with the shared weights as they are, and what it is charged."""
        found = np.empty(len(archs))
        with torch.no_grad():
            for i, arch in enumerate(archs):
                self.shared.supernet.activate(arch)
                found[i] = float(self.shared.loss(batch))
        return found + self.penalty(archs) if self.penalty else found
