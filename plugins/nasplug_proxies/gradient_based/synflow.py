"""Synaptic flow."""

from __future__ import annotations

import math

import torch

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_proxies.scoring.probe import summed


class Synflow(ZeroCostProxy):
    """Sum over weights of |w dR/dw|, R being the summed output for an input of ones of the network
    whose parameters and buffers are all made absolute, without normalisation, in double precision
    (Tanaka et al., NeurIPS 2020).

    `log` gives log(1 + sum): the same ranks, readable numbers.
    """

    input = "ones"
    samples = 1
    normalisation = False
    double = True

    def __init__(self, log: bool = True) -> None:
        self.log = log

    def score(self, probe: Probe) -> float:
        """One forward, one backward pass, without data."""
        with torch.no_grad():
            for tensor in (*probe.model.parameters(), *probe.model.buffers()):
                if tensor.is_floating_point():
                    tensor.abs_()
        weights = probe.weights
        flow = summed(probe.model, probe.inputs)
        gradients = torch.autograd.grad(flow, weights, allow_unused=True, materialize_grads=True)
        pairs = zip(weights, gradients, strict=True)
        total = sum(float((weight.detach() * g).abs().sum()) for weight, g in pairs)
        return math.log1p(total) if self.log else total
