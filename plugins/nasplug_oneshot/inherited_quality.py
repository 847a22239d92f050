"""The quality of sub-networks with the weights of a super-network that was just trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, final

import numpy as np
import torch
from torch import nn

from nasplug import progress, seeded
from nasplug.contracts.types import Architecture, FloatArray
from nasplug.toolkit.networks.calibration import calibrate
from nasplug.toolkit.networks.devices import move
from nasplug_oneshot.shared_weights import SharedWeights

Measured = TypeVar("Measured")


@final
class Inherited:
    """Measures sub-networks with inherited weights.

    Their batch-norm statistics are estimated anew on the task's calibration batches, as in Guo et
    al., "Single path one-shot neural architecture search with uniform sampling" (ECCV 2020), section
    3.4.
    """

    def __init__(self, shared: SharedWeights) -> None:
        self.shared = shared
        task = shared.task
        found = task.calibration_batches(shared.training.batch_size)
        self._batches = [move(batch, shared.device) for batch in found]

    def qualities(self, archs: Sequence[Architecture], names: Sequence[str]) -> FloatArray:
        """The task's metrics `names` on the validation data, shape (n, len(names))."""

        def quality(network: nn.Module) -> list[float]:
            found = self.shared.task.quality(network, names)
            return [found[name] for name in names]

        return np.array([self._measure(arch, quality) for arch in archs], float)

    def losses(self, archs: Sequence[Architecture]) -> FloatArray:
        """The training loss on the calibration batches, shape (n,)."""
        found = np.empty(len(archs))
        with progress("ranking with shared weights", len(archs)) as bar:
            for i, arch in enumerate(archs):
                found[i] = self._measure(arch, self._loss)
                bar.advance(1)
        return found

    def _measure(self, arch: Architecture, measure: Callable[[nn.Module], Measured]) -> Measured:
        task = self.shared.task
        with seeded(self.shared.seed):
            network = self.shared.supernet.extract(arch)
            calibrate(network, [task.inputs(batch) for batch in self._batches])
            return measure(network)

    @torch.no_grad()
    def _loss(self, network: nn.Module) -> float:
        losses = [self.shared.task.loss(network, batch) for batch in self._batches]
        return float(torch.stack(losses).mean())
