"""Fisher information of the channels."""

from __future__ import annotations

import torch
from torch import nn

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class Fisher(ZeroCostProxy):
    """Sum over channels of half the mean over examples of (sum over positions of a dL/da)^2, a
    being the output of a convolution or linear layer, times the weights of the channel (Turner et
    al., ICLR 2020; summed over weights as by Abdelfattah et al., ICLR 2021)."""

    needs = ("layers",)

    def score(self, probe: Probe) -> float:
        """One forward, one backward pass."""
        total = 0.0
        for layer in probe.layers:
            total += _fan_in(layer.module) * float(0.5 * layer.effect.square().mean(0).sum())
        return total


def _fan_in(module: nn.Module) -> int:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    channels = weight.shape[0]
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        channels = weight.shape[1] * module.groups
    return weight.numel() // channels
