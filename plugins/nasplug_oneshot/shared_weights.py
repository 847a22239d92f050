"""The weights that all sub-networks share, and how a one-shot strategy trains them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import cos, isfinite, pi
from typing import Annotated, Any, cast, final

import torch
from torch import nn

from nasplug import (
    NasplugError,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Problem,
    Range,
    SuperNetwork,
    Task,
    require_at_least,
    seeded,
)
from nasplug.toolkit.networks.devices import move, resolve_device
from nasplug.toolkit.training.gradient_step import gradient_step


@final
class Training:
    """How the shared weights are trained: stochastic gradient descent, as in DARTS and SPOS.

    Args:
        epochs: passes over the training data.
        batch_size: of a step.
        lr: the peak of the learning rate, lowered to 0 along a cosine.
        momentum: Nesterov's.
        weight_decay: of all weights.
        clip: largest norm of a step's gradient; 0 for no limit.
    """

    def __init__(
        self,
        epochs: PositiveInt = 30,
        batch_size: Annotated[int, Range(ge=2)] = 64,
        lr: PositiveFloat = 0.05,
        momentum: Annotated[float, Range(ge=0, lt=1)] = 0.9,
        weight_decay: NonNegativeFloat = 3e-4,
        clip: NonNegativeFloat = 5.0,
    ) -> None:
        require_at_least("epochs of strategy.training", epochs, 1)
        require_at_least("batch_size of strategy.training", batch_size, 2)
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.clip = clip

    def check_first(self, epochs: int) -> None:
        """An error if `epochs` in which the weights alone learn leave none for the rest."""
        if not 0 <= epochs < self.epochs:
            raise NasplugError(
                "0 <= weights_first < training.epochs must hold, but got "
                f"strategy.weights_first={epochs}, strategy.training.epochs={self.epochs}"
            )


@final
class SharedWeights:
    """A fresh super-network on its device, and its optimiser.

    Order of calls: `batches` once an epoch; for each, `activate` or `relax` of `supernet`, then `step`.
    """

    def __init__(self, problem: Problem, training: Training, device: str, seed: int) -> None:
        self.task = the_task(problem)
        self.training = training
        self.seed = seed
        self.device = resolve_device(device)
        with seeded(seed):
            self.supernet: SuperNetwork = problem.space.supernet()
        self.module = cast(nn.Module, self.supernet).to(self.device).train()
        self.optimizer = torch.optim.SGD(
            self.module.parameters(),
            training.lr,
            momentum=training.momentum,
            nesterov=training.momentum > 0,
            weight_decay=training.weight_decay,
        )

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def batches(self, epoch: int) -> Iterator[tuple[float, Any]]:
        """How far the training is, 0 to 1, and a batch on the device; the rate is set accordingly."""
        for step, batch in enumerate(self._epoch(epoch)):
            progress = (epoch + step / self._steps) / self.training.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = self.training.lr / 2 * (1 + cos(pi * progress))
            yield progress, move(batch, self.device)

    def _epoch(self, epoch: int) -> Iterator[Any]:
        return self.task.train_batches(self.training.batch_size, self.seed, epoch)

    @cached_property
    def _steps(self) -> int:
        """Batches in an epoch."""
        return self.task.steps_per_epoch(self.training.batch_size, self.seed)

    def loss(self, batch: Any) -> torch.Tensor:
        """The task's, of the super-network as it stands."""
        return self.task.loss(self.module, batch)

    def step(self, batch: Any) -> float:
        """One step of the optimiser on `batch`; its loss."""
        parameters = self.module.parameters()
        reached = gradient_step(self.optimizer, self.loss(batch), parameters, self.training.clip)
        if not isfinite(reached):
            raise NasplugError(
                f"one-shot training must keep a finite loss, but it is {reached}; lower the learning "
                "rate (strategy.training.lr) or limit the gradient (strategy.training.clip=1)"
            )
        return reached


def pairs(batches: Iterator[tuple[float, Any]]) -> Iterator[tuple[float, Any, Any]]:
    """How far the training is, a batch for the shared weights, and one for what chooses among them.

    What is left over after pairs is not used; an error where there is no pair.
    """
    none = True
    for (done, batch), (_, other) in zip(batches, batches, strict=False):
        none = False
        yield done, batch, other
    if none:
        raise NasplugError(
            "a one-shot search needs at least two batches an epoch, one for the weights and one for the "
            "choice, but the task gives fewer; lower strategy.training.batch_size"
        )


def the_task(problem: Problem) -> Task:
    """The problem's task; an error where it has none."""
    if problem.task is None:
        raise NasplugError(
            "a one-shot strategy trains a super-network, so it needs a task; choose an evaluator that "
            "uses one, e.g. evaluator=training, or another strategy, e.g. +strategy=linas"
        )
    return problem.task
