"""Condition number of the neural tangent kernel."""

from __future__ import annotations

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from nasplug import PositiveInt, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_proxies.scoring.probe import summed


class Ntk(ZeroCostProxy):
    """-(largest / smallest eigenvalue) of the neural tangent kernel: the Gram matrix of the
    examples' gradients of the summed outputs for the weights (Chen et al., ICLR 2021, "TE-NAS").

    Batch norm uses its running statistics, so that the kernel of a batch is that of its examples.
    A kernel that is singular to the precision of its numbers has no score.
    """

    training = False

    def __init__(self, samples: PositiveInt = 16) -> None:
        self.samples = samples

    def score(self, probe: Probe) -> float:
        """A forward and a backward pass an example; no labels."""
        weights = probe.weights
        rows = []
        for i in range(len(tree_leaves(probe.inputs)[0])):
            one = tree_map_only(torch.Tensor, lambda x, i=i: x[i : i + 1], probe.inputs)
            output = summed(probe.model, one)
            found = torch.autograd.grad(output, weights, allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([g.flatten() for g in found]))
        gradients = torch.stack(rows).double()
        values = torch.linalg.eigvalsh(gradients @ gradients.T)
        noise = torch.finfo(rows[0].dtype).eps * len(rows) * values[-1]
        return -float(values[-1] / values[0]) if values[0] > noise else float("-inf")
