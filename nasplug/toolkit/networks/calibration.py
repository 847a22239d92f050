"""Batch-norm statistics of a sub-network, estimated anew.

A sub-network inherits its weights, but the statistics of its batch norms are its own: without
re-estimation its accuracy collapses (Yu and Huang 2019, section 3; Cai et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, final

import torch
from torch import nn

from nasplug.contracts.inputs import Inputs, call

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Inputs]) -> None:
    """Set the running statistics of every batch norm of `model` from `batches` of inputs.

    Each statistic becomes the average over batches, weighted by their samples, of the batch's mean
    and biased variance; while they are gathered, every batch is normalised by its own statistics.
    The model is left in evaluation mode. Without batch norms nothing is computed.
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, KINDS) and m.track_running_stats]
    if not norms:
        return
    with ExitStack() as stack:
        averages = [_Average(norm) for norm in norms]
        for average in averages:
            average.norm.__dict__["forward"] = average.forward  # hides the class's own
            stack.callback(average.norm.__dict__.pop, "forward")
        for inputs in batches:
            call(model, inputs)
    for average in averages:
        average.write()


@final
class _Average:
    """Stands in for the forward pass of one batch norm, and adds up what it sees.

    In place: tensors kept from every batch would lie between the activations in memory, and make
    the allocator return and ask for whole pages again and again.
    """

    def __init__(self, norm: Any) -> None:
        self.norm = norm
        self.samples = 0
        self.mean = torch.zeros_like(norm.running_mean)
        self.square = torch.zeros_like(norm.running_var)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise `x` by its own mean and biased variance, as a single sample may be."""
        norm = self.norm
        out, mean, inverse = torch.native_batch_norm(
            x, norm.weight, norm.bias, None, None, training=True, momentum=0.0, eps=norm.eps
        )
        self.samples += len(x)
        self.mean.add_(mean, alpha=len(x))
        self.square.add_(inverse.pow_(-2), alpha=len(x))  # variance + eps
        return out

    def write(self) -> None:
        """Set the running statistics; a norm that no batch reached starts afresh."""
        self.norm.reset_running_stats()
        if self.samples:
            self.norm.running_mean.copy_(self.mean / self.samples)
            variance = self.square / self.samples - self.norm.eps
            self.norm.running_var.copy_(variance.clamp_(min=0))
