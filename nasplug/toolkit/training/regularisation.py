"""Which parts of a network are random while it learns, and how its residual blocks begin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable

from torch import nn

Network = TypeVar("Network", bound=nn.Module)
BATCH_NORM = nn.modules.batchnorm._BatchNorm


@runtime_checkable
class ResidualBlock(Protocol):
    """A module that adds something to a shortcut; any module of a network may be one."""

    @property
    def residual_body(self) -> nn.Module | None:
        """What is added; None where this one has no shortcut."""


def train_without_dropout(network: Network) -> Network:
    """`network`, its batch norms in training mode, everything else in evaluation mode: it normalises
    by the statistics of the batch, and nothing in it is random, however it draws (dropout as a
    module or a function, stochastic depth)."""
    network.eval()
    for module in network.modules():
        if isinstance(module, BATCH_NORM):
            module.train()
    return network


def zero_last_norms(modules: Iterable[nn.Module]) -> int:
    """Let every residual block among `modules` whose body ends in a batch norm begin as its shortcut:
    the norm's scale becomes 0. How many there were.

    Goyal et al. 2017, section 5.1; Yu et al., "BigNAS", ECCV 2020, section 3. A body that ends
    otherwise is left as it is: behind a ReLU, say, a scale of 0 would never learn.
    """
    found = 0
    for block in modules:
        body = block.residual_body if isinstance(block, ResidualBlock) else None
        while isinstance(body, nn.Sequential) and len(body._modules):
            body = list(body._modules.values())[-1]
        if isinstance(body, BATCH_NORM) and body.affine:
            nn.init.zeros_(body.weight)
            found += 1
    return found
