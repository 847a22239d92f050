"""Task: the data, the loss and the quality of a network on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from nasplug.contracts.fingerprint import fingerprint
from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.types import Metric

if TYPE_CHECKING:
    import torch
    from torch import nn

Batch = Any
"""Tensors on the CPU, nested as the task likes. By default a tuple: inputs first, the target last."""
HASHED_BATCHES, HASHED_SAMPLES = 8, 128
"""How many batches of how many samples the default fingerprint of a task's data takes in."""


class Task(ABC):
    """What a network is for, whatever the modality.

    Order of calls: training asks `train_batches` once an epoch and `loss` for every batch;
    evaluation asks `calibration_batches` once and then `quality`; the end of a search asks
    `test_quality`. Nothing is read from disk before the first of them. All randomness comes from the
    `seed` handed in.
    """

    metrics: Mapping[str, Metric]
    """What `quality` gives, the main one first."""

    network_dimensions: Mapping[str, int] = {}
    """What a network must fit: arguments of a space that are taken from here where the user names
    none, e.g. {"num_classes": 10, "in_channels": 1, "image_size": 32}."""

    test_from_training: bool = False
    """Whether the test data are a share of what others train on: weights that were trained elsewhere may
    have seen them."""

    @abstractmethod
    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """One epoch of training batches, shuffled and augmented by (seed, epoch)."""

    @abstractmethod
    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The training loss, a scalar, of a network's outputs for `batch`."""

    @abstractmethod
    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """Those of `metrics`, names of `self.metrics`, on the validation data, with `model` as it stands
        (its mode, its device); no gradient is recorded. What is not asked need not be computed: a
        task whose loss is cheap and whose decoding is not decodes only when asked to."""

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """Those of `metrics` on test data, which no search sees; {} where the task has none.

        A search compares networks by `quality`, so the best of many looks better there than it is; this
        is what to expect of it. Asked once for each network of the front, when the search is over.
        """
        return {}

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """The training batches, always the same, on which batch-norm statistics are estimated."""
        return self.train_batches(batch_size, seed=0)

    def inputs(self, batch: Batch) -> Inputs:
        """What the network is called with for `batch`, positional or by keywords; by default all but
        the target, positional."""
        inputs: Inputs = batch[:-1]
        return inputs

    def forward(self, model: nn.Module, batch: Batch) -> Any:
        """The outputs of `model` for `batch`, in whatever structure the model gives them."""
        return call(model, self.inputs(batch))

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """Training batches in an epoch; by default they are counted, which takes a pass over the data."""
        return sum(1 for _ in self.train_batches(batch_size, seed, 0))

    def deployment_info(self) -> Mapping[str, Any]:
        """What an exported network needs to be used, as JSON: `labels`, the names of the classes in the
        order of the outputs, `preprocessing`, how an input is made ready (for images with the keys of
        Hugging Face's preprocessor_config.json), and `application`, an `Application` described as
        {"_target_": ..}, whose methods `nasplug.load` gives the network."""
        return {}

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
        return self.criterion(self.forward(model, batch), batch)

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """The loss of `outputs` against a teacher's: cross-entropy of soft targets, last axis classes.
        Override it where the outputs are no single tensor."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.flatten(0, -2), teacher.flatten(0, -2).softmax(-1))
