"""Complexity: the condition of the neural tangent kernel."""

from __future__ import annotations

from typing import Annotated, Literal, final

import torch

from nasplug import Range, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_denas.score.layers import weighted_layers
from nasplug_denas.score.passes import Draws, Passes, readout


@final
class NtkCondition(ZeroCostProxy):
    """-log(largest / smallest eigenvalue) of the neural tangent kernel: the Gram matrix of the
    gradients, for all weights, of each example's R (Chen et al., "TE-NAS", ICLR 2021, equation 2): the
    COM of DE-NAS, which is subtracted.

    Batch norm's statistics are taken from the batch and then held fixed: in DE-NAS they were not, so
    that an example's gradient depended on the others. R is a seeded gaussian projection of the
    outputs, or their sum. A kernel that is singular to the precision of its numbers has no score.

    Args:
        samples: examples, each a backward pass.
        input: what the batch holds: gaussian (of tokens: their embeddings), or examples of the task.
        readout: what is derived: a projection of the outputs, or their sum.
    """

    training = False
    double = True

    def __init__(
        self,
        samples: Annotated[int, Range(ge=2)] = 16,
        input: Literal["gaussian", "data"] = "gaussian",
        readout: Literal["projection", "sum"] = "projection",
    ) -> None:
        self.samples = samples
        self.input = input
        self.readout = readout

    def score(self, probe: Probe) -> float:
        """A forward pass of the batch, and a forward and a backward pass of each example."""
        layers = weighted_layers(probe.model)
        passes = Passes(probe.model, probe.inputs, layers, self.input, Draws())
        passes.calibrate()
        weights = [layer.weight for layer in layers]
        rows = []
        for row in range(passes.rows):
            value = readout(passes(row), self.readout, passes.draws).sum()
            parts = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
            rows.append(torch.cat([part.flatten() for part in parts]))
        passes.check()
        gradients = torch.stack(rows)
        precision = torch.finfo(gradients.dtype).eps
        wide = gradients.double()
        values = torch.linalg.eigvalsh(wide @ wide.T)
        noise = precision * len(wide) * values[-1]
        return -float((values[-1] / values[0]).log()) if values[0] > noise else float("-inf")
