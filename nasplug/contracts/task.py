"""Task: the data, the loss and the quality of a network on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from nasplug.contracts.fingerprint import fingerprint
from nasplug.contracts.types import Metric

if TYPE_CHECKING:
    import torch
    from torch import nn

Batch = tuple[Any, ...]
"""Tensors on the CPU (or tuples of them): inputs first, the target last."""
HASHED_BATCHES, HASHED_SAMPLES = 8, 128
"""How many batches of how many samples the default fingerprint of a task's data takes in."""


class Task(ABC):
    """What a network is for, whatever the modality.

    Order of calls: training asks `train_batches` once an epoch and `loss` for every batch;
    evaluation asks `calibration_batches` once and then `quality`. Nothing is read from disk before
    the first of them. All randomness comes from the `seed` handed in.
    """

    metrics: Mapping[str, Metric]
    """What `quality` gives, the main one first."""

    dims: Mapping[str, int] = {}
    """What a network must fit: arguments of a space that are taken from here where the user names
    none, e.g. {"num_classes": 10, "in_channels": 1, "image_size": 32}."""

    @abstractmethod
    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """One epoch of training batches, shuffled and augmented by (seed, epoch)."""

    @abstractmethod
    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The training loss, a scalar, of a network's outputs for `batch`."""

    @abstractmethod
    def quality(self, model: nn.Module) -> dict[str, float]:
        """Every metric of `metrics`, on the validation data, with `model` as it stands (its mode,
        its device); no gradient is recorded."""

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """The training batches, always the same, on which batch-norm statistics are estimated."""
        return self.train_batches(batch_size, seed=0)

    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        """The positional arguments of the network for `batch`; by default all but the target."""
        return batch[:-1]

    def data_fingerprint(self) -> str:
        """A short text that changes where the data do, whatever the path or the arguments say.

        Trained weights are kept under it, and a run is continued on the same data only. By default
        a hash of the first 8 training batches and the first 8 calibration batches, of 128 samples.
        Override it where that is slow, or where data may change that these batches do not show: a
        large data set of files names their sizes and times, one that never changes its version.
        """
        batches = (
            self.train_batches(HASHED_SAMPLES, seed=0),
            self.calibration_batches(HASHED_SAMPLES),
        )
        return fingerprint(*(list(islice(some, HASHED_BATCHES)) for some in batches))

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The training loss of `model` on `batch`, a scalar."""
        return self.criterion(model(*self.inputs(batch)), batch)

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """The loss of `outputs` against a teacher's: cross-entropy of soft targets, last axis classes."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.flatten(0, -2), teacher.flatten(0, -2).softmax(-1))
