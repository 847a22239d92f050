"""Diversity: norms of attention's weights and of their gradients."""

from __future__ import annotations

import math
from typing import Literal, final

import torch

from nasplug import PositiveInt, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_denas.score.layers import Which, chosen, weighted_layers
from nasplug_denas.score.passes import Draws, Passes, readout

ORDERS = {"nuclear": "nuc", "frobenius": "fro"}


@final
class Diversity(ZeroCostProxy):
    """log of the sum over layers of ||W|| ||dR/dW||, nuclear norms: the synaptic diversity of Zhou et
    al., "Training-free Transformer Architecture Search" (CVPR 2022), equation 4, which DE-NAS has as
    DIV, though with the Frobenius norm, which does not see the rank.

    Of the attention layers, each once, with the weights that the network has; of networks without
    attention all layers with weights, which is not published. Batch norm's statistics are those of the
    batch. R is the mean over the batch of a seeded gaussian projection of the outputs, or of their
    sum, which is constant where the network ends in a layer norm.

    Args:
        samples: examples of the batch.
        norm: nuclear; or frobenius, as in DE-NAS.
        layers: auto: as said; or attention, feed_forward, all.
        input: what the batch holds: gaussian (of tokens: their embeddings), ones (tokens stay as the
            space gives them), or examples of the task.
        readout: what is derived: a projection of the outputs, or their sum.
        log: the logarithm of the sum instead of the sum.
    """

    training = False
    double = True

    def __init__(
        self,
        samples: PositiveInt = 8,
        norm: Literal["nuclear", "frobenius"] = "nuclear",
        layers: Which = "auto",
        input: Literal["gaussian", "ones", "data"] = "gaussian",
        readout: Literal["projection", "sum"] = "projection",
        log: bool = True,
    ) -> None:
        self.samples = samples
        self.norm = norm
        self.layers = layers
        self.input = input
        self.readout = readout
        self.log = log

    def score(self, probe: Probe) -> float:
        """One forward and one backward pass; a second forward pass where there is batch norm."""
        layers = weighted_layers(probe.model)
        counted = chosen(layers, self.layers, "attention")
        passes = Passes(probe.model, probe.inputs, layers, self.input, Draws())
        passes.calibrate()
        value = readout(passes(), self.readout, passes.draws).mean()
        if self.input == "gaussian":
            passes.check()
        gradients = torch.autograd.grad(
            value, [layer.weight for layer in counted], allow_unused=True, materialize_grads=True
        )
        total = 0.0
        for layer, gradient in zip(counted, gradients, strict=True):
            norms = [self._norm(layer.matrix(x)) for x in (layer.weight.detach(), gradient)]
            total += norms[0] * norms[1]
        return (math.log(total) if total > 0 else -math.inf) if self.log else total

    def _norm(self, matrix: torch.Tensor) -> float:
        return float(torch.linalg.matrix_norm(matrix, ord=ORDERS[self.norm]))
