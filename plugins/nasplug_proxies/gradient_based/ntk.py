"""Condition number of the neural tangent kernel."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from nasplug import NasplugError, PositiveInt, ZeroCostProxy
from nasplug.contracts.inputs import call
from nasplug.contracts.probe import Probe
from nasplug.toolkit.networks.calibration import calibrate
from nasplug.toolkit.networks.nested import main_output
from nasplug_proxies.scoring.probe import summed


class Ntk(ZeroCostProxy):
    """-(largest / smallest eigenvalue) of the neural tangent kernel: the Gram matrix of the
    gradients, for the weights, of each example's summed outputs (Chen et al., ICLR 2021, "TE-NAS",
    equations 2 and 3).

    As in the authors' code: one batch in training mode, so that batch norm uses the batch's
    statistics and the gradients run through them; the weights are all parameters so named, batch
    norm's scales among them. They take batches of 72 examples, of a network with 3 channels and one
    cell a stage. A kernel that is singular to the precision of its numbers has no score; the authors
    give it 100,000 where it is no number.
    """

    def __init__(self, samples: PositiveInt = 16) -> None:
        self.samples = samples

    def score(self, probe: Probe) -> float:
        """A forward pass, and a backward pass of the whole batch for each example; no labels."""
        weights = _named_weights(probe)
        output = main_output(call(probe.model, probe.inputs))
        if output is None:
            raise NasplugError("the network must have real numbers as outputs, but it has none")
        sums = output.flatten(1).sum(1)
        rows = (_gradient(s, weights, keep=i < len(sums) - 1) for i, s in enumerate(sums))
        return _condition(rows)


class NtkCalibrated(ZeroCostProxy):
    """As `ntk`, but batch norm's statistics are taken from the batch and then held fixed, so that an
    example's gradient depends on no other example and costs a backward pass of this one alone.

    Not published: the kernel of the network that is used later, in evaluation mode.
    """

    training = False

    def __init__(self, samples: PositiveInt = 16) -> None:
        self.samples = samples

    def score(self, probe: Probe) -> float:
        """Two forward passes and a backward pass, of as many examples as there are; no labels."""
        weights = _named_weights(probe)
        calibrate(probe.model, [probe.inputs])
        return _condition(self._rows(probe, weights))

    def _rows(self, probe: Probe, weights: list[nn.Parameter]) -> Iterator[torch.Tensor]:
        for i in range(len(tree_leaves(probe.inputs)[0])):
            one = tree_map_only(torch.Tensor, lambda x, i=i: x[i : i + 1], probe.inputs)
            yield _gradient(summed(probe.model, one), weights)


def _named_weights(probe: Probe) -> list[nn.Parameter]:
    """All parameters that are named weights, normalisation's scales among them."""
    if not probe.weights:  # raises where there is nothing to learn
        return []
    named = probe.model.named_parameters()
    return [p for name, p in named if "weight" in name and p.requires_grad]


def _gradient(of: torch.Tensor, weights: list[nn.Parameter], keep: bool = False) -> torch.Tensor:
    parts = torch.autograd.grad(
        of, weights, retain_graph=keep, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in parts])


def _condition(rows: Iterator[torch.Tensor]) -> float:
    """-(largest / smallest eigenvalue) of the Gram matrix of `rows`, each of shape (weights,)."""
    gradients = torch.stack(list(rows))
    precision = torch.finfo(gradients.dtype).eps
    wide = gradients.double()
    values = torch.linalg.eigvalsh(wide @ wide.T)
    noise = precision * len(wide) * values[-1]
    return -float(values[-1] / values[0]) if values[0] > noise else float("-inf")
