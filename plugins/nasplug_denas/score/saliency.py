"""Saliency: how much of the flow through a network each weight carries."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch.utils._pytree import tree_map_only

from nasplug import PositiveInt, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug_denas.score.layers import Which, chosen, weighted_layers
from nasplug_denas.score.passes import Draws, Passes, readout, without_batch_norm


@final
class Saliency(ZeroCostProxy):
    """log of the sum over layers of the mean over a layer's outputs of sum |w dR/dw|, all parameters,
    inputs and the readout made absolute: the SAL of DE-NAS, after Tanaka et al., "SynFlow" (NeurIPS
    2020).

    Of the feed-forward layers of a transformer, each once (DE-NAS counts those of its ViT twice); of
    another network all layers with weights. Batch norm gives out what it gets; layer norm stays, since
    without it the score follows depth alone. In a chain of layers without biases each layer carries
    all of R, so that the sum is over R / outputs.

    Args:
        samples: examples over which R is a mean.
        layers: auto: as said; or attention, feed_forward, all.
        input: what the batch holds: gaussian (of tokens: their embeddings), of which the absolute
            values count; ones (tokens stay as the space gives them); or examples of the task.
        readout: what is derived: a seeded projection of the outputs, or their sum, which is constant
            where the network ends in a layer norm.
        log: the logarithm of the sum instead of the sum.
    """

    training = False
    double = True

    def __init__(
        self,
        samples: PositiveInt = 1,
        layers: Which = "auto",
        input: Literal["gaussian", "ones", "data"] = "gaussian",
        readout: Literal["projection", "sum"] = "projection",
        log: bool = True,
    ) -> None:
        self.samples = samples
        self.layers = layers
        self.input = input
        self.readout = readout
        self.log = log

    def score(self, probe: Probe) -> float:
        """One forward and one backward pass."""
        model, layers = probe.model, weighted_layers(probe.model)
        counted = chosen(layers, self.layers, "feed_forward")
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.is_floating_point():
                    tensor.abs_()
        inputs = tree_map_only(torch.Tensor, _absolute, probe.inputs)
        passes = Passes(model, inputs, layers, self.input, Draws(absolute=True))
        with without_batch_norm(model):
            value = readout(passes(), self.readout, passes.draws).mean()
        if self.input == "gaussian":
            passes.check()
        weights = [layer.weight for layer in counted]
        gradients = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
        total = 0.0
        for layer, gradient in zip(counted, gradients, strict=True):
            flow = layer.matrix((layer.weight.detach() * gradient).abs())
            total += float(flow.sum(1).mean())
        return (math.log(total) if total > 0 else -math.inf) if self.log else total


def _absolute(x: torch.Tensor) -> torch.Tensor:
    return x.abs() if x.is_floating_point() else x
