"""Schedule: which sub-networks learn at each step, from what, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, final

import torch
from torch import nn

from nasplug import (
    NasplugError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    SearchSpace,
    unknown,
)
from nasplug_training.optimization import Optimization
from nasplug_training.subspace import Subspace


@final
@dataclass(frozen=True)
class Phase:
    """A stretch of training, with an optimiser and a learning-rate cycle of its own."""

    subspace: Subspace
    epochs: int
    lr: float
    random: int
    sort_channels: bool


@final
class Schedule:
    """How a super-network is trained; the choices of the group `training` differ in numbers alone.

    A step trains the `largest`, the `smallest` and `random` random sub-networks on one batch, and
    adds up their gradients. All three kinds, with `label_weight=0 distillation_weight=1`, are the
    sandwich rule with in-place distillation (Yu and Huang 2019); one random sub-network is
    single-path training (Guo et al. 2020); `phases` that allow ever more options are progressive
    shrinking (Cai et al. 2020).

    The loss of a sub-network is

        label_weight * criterion(outputs, labels) + distillation_weight * distillation(outputs, teacher).

    The teacher is the step's largest sub-network, which itself learns from labels alone; where
    `largest` is off, it is the largest as it was after the first phase, in which all learn from
    labels alone. That one has no dropout, and batch norms that go by the batch's statistics, as in
    the published training.
    """

    def __init__(
        self,
        epochs: PositiveInt = 14,
        batch_size: Annotated[int, Range(ge=2)] = 64,
        largest: bool = True,
        smallest: bool = True,
        random: NonNegativeInt = 2,
        label_weight: NonNegativeFloat = 0.0,
        distillation_weight: NonNegativeFloat = 1.0,
        phases: Sequence[Mapping[str, Any]] = (),
        optimizer: str = "sgd",
        lr: PositiveFloat = 0.04,
        momentum: Annotated[float, Range(ge=0, lt=1)] = 0.9,
        weight_decay: NonNegativeFloat = 3e-5,
        warmup: NonNegativeFloat = 1.0,
        clip: NonNegativeFloat = 0.0,
        decay: str = "cosine",
        final_lr: Annotated[float, Range(ge=0, le=1)] = 0.0,
        beta2: Annotated[float, Range(ge=0, lt=1)] = 0.999,
        accumulate: PositiveInt = 1,
        zero_init: bool = False,
        regularize: str = "all",
        report_every: NonNegativeInt = 4,
    ) -> None:
        """`optimizer` to `accumulate` are those of `Optimization`; every phase begins with `warmup`, and
        a step's sub-networks see all of its batches.

        `zero_init` lets every residual block begin as its shortcut, `regularize="largest"` leaves
        dropout to the step's largest sub-network (Yu et al., "BigNAS", ECCV 2020, section 3). Weight
        decay acts once a step on all weights, whatever was trained: on the largest, whose they are.

        Every `report_every` epochs (0: never) the smallest, a middle and the largest sub-network are
        measured. A phase is a mapping with any of `epochs`, `lr` and `random`, which replace those
        above, `options`, the option values it allows by pattern of variable names (see `Subspace`),
        and `sort_channels`, whether it begins by sorting channels by importance.
        """
        self.epochs = epochs
        self.batch_size = batch_size
        self.largest = largest
        self.smallest = smallest
        self.random = random
        self.label_weight = label_weight
        self.distillation_weight = distillation_weight
        self.phases = [dict(phase) for phase in phases]
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.clip = clip
        self.decay = decay
        self.final_lr = final_lr
        self.beta2 = beta2
        self.accumulate = accumulate
        self.zero_init = zero_init
        self.regularize = regularize
        self.report_every = report_every
        _check(vars(self))
        self.optimization = Optimization(
            optimizer, lr, momentum, weight_decay, warmup, clip, decay, final_lr, beta2, accumulate
        )
        if regularize not in REGULARIZED:
            raise unknown("value of regularize", regularize, REGULARIZED)
        if regularize == "largest" and not largest:
            raise NasplugError(
                "regularize=largest needs largest=true, or no sub-network has dropout; leave it out"
            )
        for phase in self.phases:
            for name in phase:
                if name not in PHASE_KEYS:
                    raise unknown("key of a training phase", name, PHASE_KEYS)
            _check(phase)
        if not all(largest or smallest or p.get("random", random) for p in self.phases or [{}]):
            raise NasplugError(
                "a step must train some sub-network: largest=true, smallest=true or random=1"
            )

    def plan(self, space: SearchSpace) -> list[Phase]:
        """The phases on `space`; one with every option where none are given."""
        return [
            Phase(
                Subspace(space, phase.get("options")),
                int(phase.get("epochs", self.epochs)),
                float(phase.get("lr", self.lr)),
                int(phase.get("random", self.random)),
                bool(phase.get("sort_channels", False)),
            )
            for phase in self.phases or [{}]
        ]

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Over all parameters of `model`."""
        return self.optimization.make_optimizer(model)


REGULARIZED = ("all", "largest")
PHASE_KEYS = ("epochs", "lr", "random", "options", "sort_channels")
LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "random": 0,
    "label_weight": 0,
    "distillation_weight": 0,
    "lr": 0,
    "momentum": 0,
    "weight_decay": 0,
    "warmup": 0,
    "clip": 0,
    "final_lr": 0,
    "beta2": 0,
    "accumulate": 1,
    "report_every": 0,
}


def _check(knobs: Mapping[str, Any]) -> None:
    for name, least in LEAST.items():
        value = knobs.get(name, least)
        if not isinstance(value, int | float) or value < least:
            raise NasplugError(
                f"{name} of training must be a number, at least {least}, but got {value!r}"
            )
