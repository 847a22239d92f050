"""Probe: what one pass through an untrained network shows to a zero-cost proxy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nasplug.contracts.inputs import Inputs

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nasplug.contracts.task import Batch, Task


@dataclass(frozen=True)
class Examples:
    """Inputs of a network, and the batch of the task that they are from, if any."""

    inputs: Inputs
    batch: Batch = ()


@dataclass(frozen=True)
class Layer:
    """A layer of a network, and the effect of its channels on the loss L, to first order: the sum
    over positions of its output a times dL/da, shape (b, channels)."""

    module: nn.Module
    effect: torch.Tensor


class Probe(Protocol):
    """A network, its input, and what one pass showed of what a proxy `needs`.

    Tensors are not to be changed in place: other proxies read the same ones. Reading what the
    network does not have, or what `needs` does not name, raises a NasplugError that says so.
    """

    model: nn.Module
    examples: Sequence[Examples]
    task: Task | None

    @property
    def inputs(self) -> Inputs:
        """What the network is called with, on its device."""

    @property
    def classes(self) -> torch.Tensor:
        """Class labels of the examples, int64, shape (b,)."""

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weights, no biases, of convolution, linear, attention and recurrent layers."""

    def loss(self, number: int = 0) -> torch.Tensor:
        """The task's loss of `model` on batch `number`, a scalar with its graph, by a new pass."""

    @property
    def outputs(self) -> torch.Tensor:
        """What the network answered in the shared pass, without graph; of a structured output its
        `logits`, or else its first tensor of real numbers."""

    @property
    def gradients(self) -> list[torch.Tensor]:
        """Of the loss, for each of `weights`."""

    @property
    def layers(self) -> list[Layer]:
        """The convolution and linear layers that the loss depends on, the last one first."""

    @property
    def jacobian(self) -> torch.Tensor:
        """Gradient of the summed outputs for each example's input, shape (b, numbers)."""

    @property
    def patterns(self) -> list[torch.Tensor]:
        """For each activation layer, in order, which units are on: bool, shape (b, units)."""

    @property
    def reached(self) -> list[bool]:
        """For each of `patterns`, whether the main output's graph leads back to the layer."""

    @property
    def blocks(self) -> list[torch.Tensor]:
        """Outputs of the building blocks, in order, with their graph."""
