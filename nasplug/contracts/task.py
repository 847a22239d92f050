"""Task: the data, the loss and the quality of a network on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nasplug.contracts.types import Metric

if TYPE_CHECKING:
    import torch
    from torch import nn

Batch = tuple[Any, ...]
"""Tensors on the CPU (or tuples of them): inputs first, the target last."""


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

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The training loss of `model` on `batch`, a scalar."""
        return self.criterion(model(*self.inputs(batch)), batch)

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """The loss of `outputs` against a teacher's: cross-entropy of soft targets, last axis classes."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.flatten(0, -2), teacher.flatten(0, -2).softmax(-1))
