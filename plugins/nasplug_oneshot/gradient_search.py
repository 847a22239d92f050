"""Strategies `darts`, `gdas`, `snas` and `proxyless`: architectures found by gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
import torch

from nasplug import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Problem,
    Strategy,
    progress,
    seeded,
)
from nasplug.contracts.types import Architecture, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell
from nasplug.toolkit.training.second_order import architecture_gradient, gradient
from nasplug_oneshot.cost_sweep import check, swept
from nasplug_oneshot.costs import Costs, Penalty, expected
from nasplug_oneshot.proposals import nonempty
from nasplug_oneshot.ranking import by_probability
from nasplug_oneshot.relaxations import Relaxation
from nasplug_oneshot.shared_weights import SharedWeights, Training, pairs, the_task


@final
class GradientSearch(Strategy):
    """Learns how likely each option of every design variable is, by the gradient of the loss.

    A super-network computes mixtures of all options. Of every two training batches the first lowers
    the loss by the shared weights, the second by the alphas, whose softmax is how likely an option
    is. Then the most probable architectures are proposed, from the best down. Source: Liu, Simonyan,
    Yang, "DARTS: differentiable architecture search" (ICLR 2019); the relaxations name their own.

    What the task does not measure, such as macs, params, latency or any other metric, is added to
    the loss of the alphas as an expected cost (`nasplug_oneshot.costs`), once for every weight in `sweep`:
    a front. Limits are added too. Costs that the space does not compute are learnt from the `first`
    random architectures, which are then measured before anything else.

    Args:
        relaxation: how alphas become a mixture.
        training: of the shared weights.
        second_order: whether the alphas look one step of the shared weights ahead; takes about three
            times as long.
        weights_first: epochs in which the shared weights alone learn.
        alpha_lr: learning rate of the alphas (Adam).
        alpha_decay: weight decay of the alphas.
        first: how many are measured first, where costs must be learnt.
        derived: how many architectures are proposed of each search before the next begins.
        sweep: weights of the costs, in nats for a standard deviation of a random architecture's.
        limit: nats for each breaking of a limit by its whole size.
        device: of the training; auto, cpu, cuda, ..
    """

    def __init__(
        self,
        relaxation: Relaxation,
        training: Training,
        second_order: bool = False,
        weights_first: NonNegativeInt = 5,
        alpha_lr: PositiveFloat = 0.02,
        alpha_decay: NonNegativeFloat = 1e-3,
        first: NonNegativeInt = 12,
        derived: PositiveInt = 4,
        sweep: Sequence[NonNegativeFloat] = (0.0, 0.1, 1.0),
        limit: NonNegativeFloat = 1.0,
        device: str = "auto",
    ) -> None:
        check(first, derived, sweep, limit)
        training.check_first(weights_first)
        self.relaxation = relaxation
        self.training = training
        self.second_order = second_order
        self.weights_first = weights_first
        self.alpha_lr = alpha_lr
        self.alpha_decay = alpha_decay
        self.first = first
        self.derived = derived
        self.sweep = list(sweep)
        self.limit = limit
        self.device = device

    def setup(self, problem: Problem) -> None:
        """Start anew; an error without a task, or if the super-network cannot be mixed."""
        task = the_task(problem)
        counts = [len(v.options) for v in problem.space.variables]
        with seeded(problem.seed):
            problem.space.supernet().relax([torch.full((n,), 1 / n) for n in counts])
        self._costs = Costs(problem, tuple(task.metrics))
        self._problem = problem

        def search(penalty: Penalty | None, seed: int) -> Iterator[Architecture]:
            alphas = self.train(problem, penalty, seed)
            return by_probability(problem.space, [a.softmax(0).double().numpy() for a in alphas])

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

    def train(self, problem: Problem, penalty: Penalty | None, seed: int) -> list[torch.Tensor]:
        """The alphas after one search, one tensor of shape (options,) a design variable, on the CPU."""
        shared = SharedWeights(problem, self.training, self.device, seed)
        learner = _Learner(self, problem, shared, penalty, seed)
        epochs = self.training.epochs
        with seeded(seed), progress("training the relaxed super-network", epochs) as bar:
            for epoch in range(epochs):
                loss = learner.epoch(epoch, alphas_too=epoch >= self.weights_first)
                bar.advance(1, loss=f"{loss:.3f}", confidence=f"{learner.confidence():.2f}")
        return [alpha.detach().cpu() for alpha in learner.alphas]


@final
class _Learner:
    """The alphas of one search, and how they and the shared weights learn in turn."""

    def __init__(
        self,
        strategy: GradientSearch,
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
        self.alphas = [
            (1e-3 * torch.randn(len(v.options), generator=self.generator))
            .to(shared.device)
            .requires_grad_()
            for v in self.space.variables
        ]
        self.optimizer = torch.optim.Adam(
            self.alphas, strategy.alpha_lr, (0.5, 0.999), weight_decay=strategy.alpha_decay
        )

    def epoch(self, number: int, alphas_too: bool) -> float:
        """One pass over the data; the mean loss of the shared weights' half."""
        losses = []
        for done, batch, other in pairs(self.shared.batches(number)):
            if alphas_too:
                self._learn(batch, other, done)
            constants = [alpha.detach() for alpha in self.alphas]
            relaxed = self.strategy.relaxation.for_weights(constants, done, self.generator)
            self.shared.supernet.relax(relaxed)
            losses.append(self.shared.step(batch))
        return float(np.mean(losses))

    def confidence(self) -> float:
        """The mean, over the variables, of the probability of the most probable option."""
        return float(np.mean([float(alpha.detach().softmax(0).max()) for alpha in self.alphas]))

    def _learn(self, batch: Any, other: Any, done: float) -> None:
        """One step of the alphas on batch `other`; `batch` is the shared weights' next."""
        drawn = self.generator.get_state()

        def loss(of: Any) -> torch.Tensor:
            self.generator.set_state(drawn)
            relaxed = self.strategy.relaxation.for_alphas(self.alphas, done, self.generator)
            self.shared.supernet.relax(relaxed)
            return self.shared.loss(of)

        found = architecture_gradient(
            lambda: loss(batch),
            lambda: loss(other),
            [p for p in self.shared.module.parameters() if p.requires_grad],
            self.alphas,
            self.shared.rate,
            self.strategy.second_order,
        )
        if self.penalty:
            cost = expected(self.space, self.alphas, self.penalty, self.rng)
            found = [f + c for f, c in zip(found, gradient(cost, self.alphas), strict=True)]
        for alpha, slope in zip(self.alphas, found, strict=True):
            alpha.grad = slope
        self.optimizer.step()
