"""The elastic NeuMF: one set of weights for every architecture of the space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from nasplug import SuperNetwork
from nasplug.contracts.types import Architecture
from nasplug.elastic import (
    ElasticEmbedding,
    ElasticLinear,
    ElasticSequential,
    Sized,
    concat,
    extract,
)
from nasplug_ncf.network import NeuMF, Widths


class ElasticNeuMF(SuperNetwork, nn.Module):
    """A NeuMF of the greatest widths, of which sub-networks take leading slices.

    Where two parts meet (user and item vectors before the tower, tower and GMF before the logit),
    each part keeps its own columns of the weight and takes the leading ones of these: a wider user
    table never moves the item columns.

    The tower's weights are stored as standard normals and used times sqrt(2 / inputs), those of its
    logit times sqrt(1 / inputs) (the "neural tangent" scaling, Jacot et al. 2018), so that signals
    keep their size at every width, and a step of Adam moves a wide layer less than a narrow one.
    With weights stored as they are used, the columns that only wide layers have, rarely active, are
    thrown about by their few large steps. Extracted networks hold the weights as they are used.
    """

    def __init__(
        self,
        users: int,
        items: int,
        largest: Widths,
        widths_of: Callable[[Architecture], Widths],
    ) -> None:
        super().__init__()
        self.widths = largest
        self.widths_of = widths_of
        self.full = _elastic(users, items, largest)

    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`."""
        self._set(self.widths_of(arch))

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """The active sub-network's logits, shape (b,), for indices of shape (b,)."""
        logits: torch.Tensor = self.full(users, items)
        return logits

    def extract(self, arch: Architecture) -> NeuMF:
        """A stand-alone copy of the sub-network of `arch`."""
        before = self.widths
        self.activate(arch)
        alone = cast(NeuMF, extract(self.full))
        self._set(before)
        return alone.train(self.training)

    def _set(self, widths: Widths) -> None:
        """Activate the leading columns of every table and layer."""
        full: Any = self.full
        full.gmf_user.activate(widths.gmf)
        full.gmf_item.activate(widths.gmf)
        full.mlp_user.activate(widths.user)
        full.mlp_item.activate(widths.item)
        full.tower.activate(len(widths.hidden))
        inputs: int | tuple[int, int] = (widths.user, widths.item)
        for layer, outputs in zip(full.tower, widths.hidden, strict=True):
            layer.activate(inputs, outputs)
            inputs = outputs
        full.output.activate((inputs, widths.gmf), 1)
        self.widths = widths


def _elastic(users: int, items: int, largest: Widths) -> NeuMF:
    """A NeuMF of elastic layers, its tower and logit stored as standard normals."""
    tables = [
        ElasticEmbedding(users, largest.gmf),
        ElasticEmbedding(items, largest.gmf),
        ElasticEmbedding(users, largest.user),
        ElasticEmbedding(items, largest.item),
    ]
    inputs: list[Sized] = [concat(largest.user, largest.item), *largest.hidden]
    tower = ElasticSequential(
        *(
            ElasticLinear(wide, out, gain=_of_tower)
            for wide, out in zip(inputs[:-1], largest.hidden, strict=True)
        )
    )
    widest = max(largest.hidden)
    output = ElasticLinear(concat(widest, largest.gmf), 1, gain=_of_logit)
    full = NeuMF(tables, tower, output)
    for layer in tower:
        nn.init.normal_(layer.get_parameter("weight"))
        nn.init.zeros_(layer.get_parameter("bias"))
    nn.init.normal_(output.weight[:, :widest].detach())
    return full


def _of_tower(widths: tuple[int, ...]) -> tuple[float, ...]:
    return ((2 / sum(widths)) ** 0.5,) * len(widths)


def _of_logit(widths: tuple[int, ...]) -> tuple[float, ...]:
    """The tower's inputs are scaled, GMF's are used as they are stored."""
    return (widths[0] ** -0.5, 1.0)
