"""A network as tracers want it: tensors in, tensors out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nasplug.contracts.inputs import Inputs, call
from nasplug.toolkit.networks.nested import map_tensors, tensors


def positional(network: nn.Module, inputs: Inputs) -> nn.Module:
    """`network` as a module that is called with the tensors in `inputs`, in order, whatever keywords
    and containers they are in, and gives a list of the tensors in its outputs. In evaluation mode.

    >>> torch.jit.trace(positional(network, inputs), tuple(tensors(inputs)))
    """
    return _Positional(network, inputs).eval()


class _Positional(nn.Module):
    def __init__(self, network: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.network = network
        self.inputs = inputs

    def forward(self, *values: torch.Tensor) -> list[Any]:
        given = iter(values)
        return list(tensors(call(self.network, map_tensors(lambda _: next(given), self.inputs))))
