"""Plain layers that the once-for-all networks are made of."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def named(**modules: nn.Module) -> nn.Sequential:
    """A sequence whose parameters carry the modules' names."""
    return nn.Sequential(OrderedDict(modules))


def conv2d(width_in: int, width_out: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, same padding."""
    return nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, bias=False)


def depthwise2d(width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A depth-wise convolution without bias, same padding."""
    return nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)


class Residual(nn.Module):
    """`conv(x) + x` where there is a shortcut, else `conv(x)`."""

    def __init__(self, conv: nn.Module, shortcut: bool) -> None:
        super().__init__()
        self.conv = conv
        self.shortcut = shortcut

    @property
    def residual_body(self) -> nn.Module | None:
        """What is added to the shortcut, if there is one."""
        return self.conv if self.shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        out: Tensor = self.conv(x) + x if self.shortcut else self.conv(x)
        return out


def classifier(linear: nn.Module, dropout: float) -> nn.Sequential:
    """Dropout, then `linear`."""
    return named(dropout=nn.Dropout(dropout), linear=linear)


def initialise(network: Network) -> Network:
    """Draw convolutions from a normal distribution of variance 2 / fan-out; biases start at 0.

    Draws from torch's global generator. Gives the network back.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def example(batch_size: int, channels: int, size: int) -> tuple[Tensor, ...]:
    """Images of standard normal pixels, shape (batch_size, channels, size, size), always the same."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(batch_size, channels, size, size, generator=generator),)
