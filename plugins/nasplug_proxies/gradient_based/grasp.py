"""Gradient signal preservation."""

from __future__ import annotations

import torch

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class Grasp(ZeroCostProxy):
    """Sum over weights of -(H g) w, with g = dL/dw and H the Hessian of the loss: how much gradient
    flow the weights keep up (Wang et al., ICLR 2020, equation 8; temperature 1)."""

    needs = ("loss",)

    def score(self, probe: Probe) -> float:
        """One forward, two backward passes, the second through the first."""
        weights = probe.weights
        first = torch.autograd.grad(
            probe.loss(), weights, create_graph=True, allow_unused=True, materialize_grads=True
        )
        flow = torch.stack([(g.detach() * g).sum() for g in first]).sum()
        second = torch.autograd.grad(flow, weights, allow_unused=True, materialize_grads=True)
        pairs = zip(weights, second, strict=True)
        return -sum(float((weight.detach() * product).sum()) for weight, product in pairs)
