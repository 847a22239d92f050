"""Finalizer: what is done to a network after its extraction, before it is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasplug.contracts.inputs import Inputs

if TYPE_CHECKING:
    from torch import nn


class Finalizer(ABC):
    """A step that makes a sub-network with inherited weights ready to be measured and exported, such
    as rounding its weights to eight bits. The re-estimation of batch-norm statistics always comes
    first; then come the steps that the space names (`SearchSpace.finalizers`), then those of the
    evaluator (`evaluator.finalizers`), in order.

    Called once for each network that is measured or exported. The same network and batches give
    the same result.
    """

    @abstractmethod
    def finalize(self, network: nn.Module, batches: Sequence[Inputs]) -> nn.Module:
        """The finished network, in evaluation mode: `network` itself, changed in place, or another one.

        `batches` are inputs of the task's calibration data, on the network's device. The names and
        shapes of the state dict stay, so that an exported network loads into `SearchSpace.build`.
        """
