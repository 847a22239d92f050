"""Optimization: the optimiser of a training, its learning-rate schedule and its gradient clipping."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Any, final

import torch
from torch import nn

from nasplug import unknown


@final
@dataclass(frozen=True)
class Optimization:
    """How weights are updated, for super-networks and stand-alone networks alike.

    The learning rate rises linearly to `lr` during `warmup` epochs, then falls to 0 along a cosine.
    `clip` is the largest norm of a step's gradient (0: no limit). Batch norms and biases have no
    `weight_decay`. With `optimizer="adamw"`, `momentum` is Adam's beta1. Any other class of
    `torch.optim` goes by its name, such as "RMSprop" or "NAdam": it is given the learning rate and
    `weight_decay`, and its own defaults beside.
    """

    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    warmup: float
    clip: float

    def __post_init__(self) -> None:
        """An error for an optimiser that is not known."""
        if self.optimizer not in (*OPTIMIZERS, *_of_torch()):
            raise unknown("optimizer", self.optimizer, (*OPTIMIZERS, *_of_torch()))

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
            return OPTIMIZERS[self.optimizer](kept, self.lr, self.momentum)
        made: torch.optim.Optimizer = _of_torch()[self.optimizer](kept, lr=self.lr)
        return made

    def rate(self, peak: float, epoch: float, epochs: int) -> float:
        """The learning rate `epoch` epochs (fractions too) after the beginning of a cycle of `epochs`."""
        if epoch < self.warmup:
            return peak * epoch / self.warmup
        return peak / 2 * (1 + cos(pi * (epoch - self.warmup) / max(epochs - self.warmup, 1e-9)))

    def step(self, optimizer: torch.optim.Optimizer, model: nn.Module, rate: float) -> None:
        """One step of the optimiser at `rate`, on the gradients that `model` holds."""
        for group in optimizer.param_groups:
            group["lr"] = rate
        if self.clip:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip)
        optimizer.step()


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


def _sgd(groups: Any, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr, momentum=momentum, nesterov=momentum > 0)


def _adamw(groups: Any, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr, betas=(momentum, 0.999))


OPTIMIZERS = {"sgd": _sgd, "adamw": _adamw}
