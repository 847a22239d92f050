"""Inverse coefficient of variation of gradients."""

from __future__ import annotations

from typing import Annotated

import torch

from nasplug import Range, ZeroCostProxy
from nasplug.contracts.probe import Probe


class Zico(ZeroCostProxy):
    """Sum over layers of log sum_w E|g_w| / std(g_w), over batches, for the weights whose gradient g
    varies (Li et al., ICLR 2023, equation 15); a layer without such weights adds nothing."""

    needs = ("loss",)

    def __init__(self, batches: Annotated[int, Range(ge=2)] = 2) -> None:
        self.batches = batches

    def score(self, probe: Probe) -> float:
        """A forward and a backward pass a batch."""
        weights = probe.weights
        passes = [
            torch.autograd.grad(
                probe.loss(number), weights, allow_unused=True, materialize_grads=True
            )
            for number in range(self.batches)
        ]
        total = 0.0
        for gradients in zip(*passes, strict=True):
            stacked = torch.stack(gradients)
            spread = stacked.std(0, correction=0)
            varies = spread > 0
            ratio = (stacked.abs().mean(0)[varies] / spread[varies]).sum()
            total += float(ratio.log()) if ratio > 0 else 0.0
        return total
