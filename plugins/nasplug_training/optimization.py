"""Optimization: the optimiser of a training, its learning-rate schedule and its gradient clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import cos, pi, sqrt
from typing import Any, final

import torch
from torch import nn

from nasplug import NasplugError, unknown
from nasplug.toolkit.training.gradient_step import accumulated_step


@final
@dataclass(frozen=True)
class Optimization:
    """How weights are updated, for super-networks and stand-alone networks alike.

    The learning rate rises linearly to `lr` during `warmup` epochs, then follows `decay`, t epochs
    after the beginning of n: "cosine" and "linear" fall to 0 at n, "inverse_sqrt" is
    lr * sqrt(warmup / t) (Vaswani et al. 2017, section 5.3, as fairseq has it), "constant" stays.
    Once it has fallen to the share `final_lr` of its peak it stays there (Yu et al., "BigNAS",
    ECCV 2020, section 3.2, call that a constant ending).

    A step follows the mean of the gradients of `accumulate` batches, or of those that an epoch has
    left. `clip` is the largest norm of a step's gradient (0: no limit). Batch norms and biases have
    no `weight_decay`. "adam" adds it to the gradient, "adamw" takes it from the weight; `momentum`
    is their beta1. Any other class of `torch.optim` goes by its name, such as "RMSprop" or "NAdam":
    it is given the learning rate and `weight_decay`, and its own defaults beside.
    """

    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    warmup: float
    clip: float
    decay: str = "cosine"
    final_lr: float = 0.0
    beta2: float = 0.999
    accumulate: int = 1

    def __post_init__(self) -> None:
        """An error for a name that is not known, or a number out of range."""
        if self.optimizer not in (*OPTIMIZERS, *_of_torch()):
            raise unknown("optimizer", self.optimizer, (*OPTIMIZERS, *_of_torch()))
        if self.decay not in DECAYS:
            raise unknown("decay", self.decay, tuple(DECAYS))
        if self.decay == "inverse_sqrt" and not self.warmup > 0:
            raise NasplugError(
                f"decay=inverse_sqrt needs warmup above 0, from which it falls, but got {self.warmup}"
            )
        if not 0 <= self.final_lr <= 1:
            raise NasplugError(
                f"final_lr is a share of lr, so it must be 0 to 1, but got {self.final_lr}"
            )
        if not 0 <= self.beta2 < 1:
            raise NasplugError(f"0 <= beta2 < 1 must hold, but got {self.beta2}")
        if self.accumulate < 1:
            raise NasplugError(f"accumulate must be at least 1, but got {self.accumulate}")

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Over all parameters of `model`; vectors (batch norms, biases) have no weight decay."""
        weights = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim <= 1]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        kept = [g for g in groups if g["params"]]
        if self.optimizer in OPTIMIZERS:
            return OPTIMIZERS[self.optimizer](kept, self)
        made: torch.optim.Optimizer = _of_torch()[self.optimizer](kept, lr=self.lr)
        return made

    def rate(self, peak: float, epoch: float, epochs: int) -> float:
        """The learning rate `epoch` epochs (fractions too) after the beginning of a cycle of `epochs`."""
        if epoch < self.warmup:
            return peak * epoch / self.warmup
        since, length = epoch - self.warmup, max(epochs - self.warmup, 1e-9)
        return max(DECAYS[self.decay](peak, since, length, self.warmup), self.final_lr * peak)

    def groups(self, batches: Iterable[Any], steps: int) -> Iterator[tuple[list[Any], float]]:
        """The batches of each of the optimiser's steps in an epoch of `steps` batches, and how far the
        epoch is in the middle of them, 0 to 1."""
        left, done = iter(batches), 0
        while group := list(islice(left, self.accumulate)):
            yield group, (done + len(group) / 2) / steps
            done += len(group)

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        rate: float,
        batches: list[Any],
        backward: Callable[[Any], torch.Tensor],
    ) -> torch.Tensor:
        """One step of the optimiser at `rate` on the mean gradient of `batches`; their mean loss.

        `backward` adds a batch's gradient to those that `model` holds, and returns its loss.
        """
        for group in optimizer.param_groups:
            group["lr"] = rate
        return accumulated_step(optimizer, batches, backward, model.parameters(), self.clip)


def _of_torch() -> dict[str, Any]:
    """The classes of `torch.optim` that take a step without calling the model again."""
    found = {name: getattr(torch.optim, name) for name in torch.optim.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and name not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
    }


def _sgd(groups: Any, how: Optimization) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, how.lr, momentum=how.momentum, nesterov=how.momentum > 0)


def _adam(groups: Any, how: Optimization) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, how.lr, betas=(how.momentum, how.beta2))


def _adamw(groups: Any, how: Optimization) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, how.lr, betas=(how.momentum, how.beta2))


OPTIMIZERS: dict[str, Callable[[Any, Optimization], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}
DECAYS: dict[str, Callable[[float, float, float, float], float]] = {
    "cosine": lambda peak, since, length, warmup: peak / 2 * (1 + cos(pi * since / length)),
    "linear": lambda peak, since, length, warmup: peak * (1 - since / length),
    "inverse_sqrt": lambda peak, since, length, warmup: peak * sqrt(warmup / (warmup + since)),
    "constant": lambda peak, since, length, warmup: peak,
}
"""The rate `since` epochs after the warm-up, of the `length` that follow it."""
