"""The networks of NAS-Bench-ASR (Mehrotra et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

KERNEL, STRIDES, DEPTHS = 8, (1, 1, 2, 2), (3, 4, 5, 6)
"""Of the convolution that begins a block: its kernel and strides; and how many cells follow it."""

LOOKAHEAD = 4
"""Steps of the future that a convolution of stride 1 sees."""

CEILING = 20.0
"""Of activations."""

KERNELS = {"conv5": (5, 1), "conv5d2": (5, 2), "conv7": (7, 1), "conv7d2": (7, 2)}
"""(kernel, dilation)."""

OPERATIONS = ("linear", *KERNELS, "zero")
"""In the benchmark's own order."""


@dataclass(frozen=True)
class Node:
    """A node of a cell: its operation on the previous node, and the earlier nodes added to it."""

    operation: str
    skips: tuple[int, ...]


class Network(nn.Module):
    """Spectrograms (b, mels, t) to logits (b, t / 4, classes)."""

    def __init__(
        self,
        cell: Sequence[Node],
        mels: int,
        channels: Sequence[int],
        groups: int,
        hidden: int,
        classes: int,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = mels
        for width, stride, depth in zip(channels, STRIDES, DEPTHS, strict=True):
            blocks += [Convolution(inputs, width, KERNEL, stride=stride), Norm(width)]
            blocks += [Cell(cell, width, groups) for _ in range(depth)]
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.memory = nn.LSTM(inputs, hidden, batch_first=True) if hidden else None
        self.classify = nn.Linear(hidden or inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Blocks, LSTM, classifier."""
        x = self.blocks(x).transpose(1, 2)
        if self.memory is not None:
            x = self.memory(x)[0]
        out: torch.Tensor = self.classify(x)
        return out


class Cell(nn.Module):
    """(b, width, t) to the same: nodes one after the other, each with skip connections."""

    def __init__(self, nodes: Sequence[Node], width: int, groups: int) -> None:
        super().__init__()
        self.skips = [node.skips for node in nodes]
        self.operations = nn.ModuleList(_operation(n.operation, width, groups) for n in nodes)
        self.norm = Norm(width)

    def extra_repr(self) -> str:
        """The sources of the skip connections, by node."""
        return f"skips={self.skips}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last node, normalised."""
        nodes = [x]
        for operation, skips in zip(self.operations, self.skips, strict=True):
            parts = [operation(nodes[-1]), *(nodes[source] for source in skips)]
            nodes.append(torch.stack(parts).sum(0))
        out: torch.Tensor = self.norm(nodes[-1])
        return out


class Convolution(nn.Module):
    """(b, inputs, t) to (b, outputs, t / stride), padded so that it sees a few future steps."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        dilation: int = 1,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        future = LOOKAHEAD // stride
        self.padding = ((kernel - 1) * dilation - future, future)
        self.weight = nn.Conv1d(inputs, outputs, kernel, stride, 0, dilation, groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad, convolve, activate."""
        out: torch.Tensor = self.weight(nn.functional.pad(x, self.padding))
        return out.clamp(0, CEILING)


class Linear(nn.Module):
    """(b, width, t) to the same shape, each step independently."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map, activate."""
        out: torch.Tensor = self.weight(x.transpose(1, 2))
        return out.clamp(0, CEILING).transpose(1, 2)


class Norm(nn.Module):
    """Layer norm over the channels of (b, width, t)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        out: torch.Tensor = self.norm(x.transpose(1, 2))
        return out.transpose(1, 2)


class Zero(nn.Module):
    """Zeros of the shape of the input, computed from it so that it stays part of the graph."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return 0 * x


def _operation(name: str, width: int, groups: int) -> nn.Module:
    if name in KERNELS:
        kernel, dilation = KERNELS[name]
        return Convolution(width, width, kernel, dilation, groups=groups)
    return Linear(width) if name == "linear" else Zero()
