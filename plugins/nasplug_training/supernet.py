"""Evaluator `supernet`: sub-networks measured with the weights they inherit."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import nn

from nasplug import (
    Architecture,
    Evaluator,
    Metric,
    NasplugError,
    NonNegativeInt,
    PositiveInt,
    SearchSpace,
    SuperNetwork,
    Task,
    describe,
    require_at_least,
    seeded,
)
from nasplug.contracts.capabilities import PublishedWeights
from nasplug.contracts.finalizer import Finalizer
from nasplug.contracts.inputs import Inputs
from nasplug.contracts.types import Outcome, Trial
from nasplug.toolkit.networks.devices import resolve_device, threads, to_channels_last, to_cpu
from nasplug.toolkit.system.cache import cache_folder
from nasplug.toolkit.system.download import download
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.failure_guard import guarded
from nasplug_training.identity import of_supernet
from nasplug_training.schedule import Schedule
from nasplug_training.subnetwork import calibration_inputs, inherit, measure
from nasplug_training.trainer import Trainer
from nasplug_training.weight_cache import Kept, State, WeightCache, versions
from nasplug_training.weights import load, read

log = logging.getLogger(__name__)
PUBLISHED = "published"


@final
class SuperNetEvaluator(Evaluator):
    """Measures the task's quality of sub-networks that inherit a super-network's weights.

    The weights are trained here by `training` and kept in `cache`, or read from a file
    (`weights=PATH`), or fetched (`weights=published`). Each sub-network is extracted, its batch-norm
    statistics are estimated anew on the task's calibration data, and it is then measured.
    """

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        training: Schedule,
        weights: str | None = None,
        device: str = "auto",
        seed: NonNegativeInt = 0,
        cache: str | None = None,
        calibration_batch: PositiveInt = 128,
        threads: PositiveInt = 1,
        training_threads: PositiveInt | None = None,
        finalizers: Sequence[Finalizer] = (),
    ) -> None:
        """`cache` is a folder; by default that of `nasplug.toolkit.system.cache.cache_folder("supernets")`.

        `threads` are the CPU threads of one evaluation, `training_threads` those of the training
        (None: as many as torch finds, which is fastest). Sums, and so the last bits of weights,
        depend on their number, and no setting of torch changes that: it is part of the key of
        trained weights. Whoever wants the same weights on machines of other sizes sets it.

        `finalizers` finish each extracted network, after the space's own.
        """
        self.space = space
        self.task = task
        self.training = training
        self.weights = weights
        self.device = device
        self.seed = seed
        self.cache = cache
        self.calibration_batch = calibration_batch
        self.threads = threads
        self.training_threads = training_threads
        self.finalizers = list(finalizers)
        if training_threads is not None:
            require_at_least("training_threads of evaluator=supernet", training_threads, 1)
        if threads < 1 or calibration_batch < 1:
            raise NasplugError(
                "threads and calibration_batch of evaluator=supernet must be at least 1, but got "
                f"{threads} and {calibration_batch}"
            )
        self._loaded: SuperNetwork | None = None
        self._inputs: list[Inputs] = []
        self._identity: dict[str, Any] = {}

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The task's."""
        return self.task.metrics

    def prepare(self) -> None:
        """Train the super-network, or load it."""
        self._supernet()

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """The task's quality of each, on the validation data; what an architecture raises fails it."""
        archs = [trial.arch for trial in trials]
        self.prepare()
        with threads(self.threads):
            return [guarded(partial(self._quality, arch, names)) for arch in archs]

    def test_quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        """The task's, of the sub-network as it was measured. None where `weights` were trained elsewhere
        and the test data are a share of the training data, which those weights may have seen."""
        if self.weights is not None and self.task.test_from_training:
            raise NasplugError(
                f"weights={self.weights} may have been trained on the test data, which are a share of the "
                "training data; give test data of their own (task=image_folder: a folder test/)"
            )
        with threads(self.threads):
            device = resolve_device(self.device)
            return measure(self._inherit(arch), self.task, device, names, test=True)

    def network(self, arch: Architecture) -> nn.Module:
        """The sub-network as it was measured."""
        self.prepare()
        with threads(self.threads):
            return to_cpu(self._inherit(arch))

    def __getstate__(self) -> dict[str, Any]:
        """Without weights and data: another process loads them itself, by the key that is known."""
        return {**self.__dict__, "_loaded": None, "_inputs": []}

    def _quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        quality = measure(self._inherit(arch), self.task, resolve_device(self.device), names)
        return {name: quality[name] for name in names}

    def _inherit(self, arch: Architecture) -> nn.Module:
        supernet, device = self._supernet(), resolve_device(self.device)
        if not self._inputs:
            self._inputs = calibration_inputs(self.task, self.calibration_batch, device)
        with seeded(self.seed):
            finalizers = (*self.space.finalizers, *self.finalizers)
            return inherit(supernet, arch, self._inputs, device, finalizers)

    def _supernet(self) -> SuperNetwork:
        if self._loaded is None:
            with seeded(self.seed):
                supernet = self.space.supernet()
            module = cast(nn.Module, supernet)
            state, path = self._state(supernet)
            load(module, state, str(path))
            to_channels_last(module.eval(), resolve_device(self.device))
            self._loaded = supernet
        return self._loaded

    def _state(self, supernet: SuperNetwork) -> tuple[State, Path]:
        """The weights, trained or fetched if need be, and their file."""
        cache = cache_folder("supernets", self.cache)
        if self.weights is None:
            kept = self._kept(WeightCache(cache), self._description(supernet), supernet)
            if kept.trained:
                number = self._identity["training_threads"]
                log.info(
                    "the super-network was trained on %s, with %d CPU thread%s; kept in %s",
                    *(kept.trained, number, "" if number == 1 else "s", kept.path),
                )
            return kept.state, kept.path
        path = Path(self.weights).expanduser()
        if self.weights == PUBLISHED:
            address = supernet.published if isinstance(supernet, PublishedWeights) else None
            if address is None:
                raise NasplugError(
                    f"no weights are published for {type(supernet).__name__} with "
                    f"{dict(self.task.network_dimensions)}: a head of another size cannot take them; leave "
                    "weights out to train it here, choose a task with the published number of classes, or "
                    "give weights=PATH"
                )
            path = download(address, cache)
        return read(path), path

    def _kept(
        self, cache: WeightCache, description: Mapping[str, Any], supernet: SuperNetwork
    ) -> Kept:
        """The weights of `description`, trained if need be. Where the user names no number of threads,
        what was trained with another number will do: it is what a search measured whose run is now
        opened elsewhere, say with OMP_NUM_THREADS set."""
        if self.training_threads is None and not cache.holds(description):
            for number in range(1, (os.cpu_count() or 1) + 1):
                other = {**description, "training_threads": number}
                if cache.holds(other):
                    description, self._identity["training_threads"] = other, number
                    break
        return cache.obtain(description, lambda checkpoint: self._train(supernet, checkpoint))

    def _train(self, supernet: SuperNetwork, checkpoint: Checkpoint) -> Any:
        start = time.monotonic()
        with threads(self._identity["training_threads"]):
            trainer = Trainer(
                supernet,
                self.space,
                self.task,
                self.training,
                self.seed,
                resolve_device(self.device),
            )
            reached = trainer.train(checkpoint)
        remarks = {"reached": reached, "seconds": round(time.monotonic() - start, 1)}
        return cast(nn.Module, supernet).state_dict(), remarks

    def _description(self, supernet: SuperNetwork) -> dict[str, Any]:
        """All that determines the trained weights; `supernet` is fresh."""
        if not self._identity:
            distilled = self.training.distillation_weight > 0
            self._identity = {
                "supernet": of_supernet(supernet, self.space, self.task, distilled),
                "data": self.task.data_fingerprint(),
                "training_threads": self.training_threads or torch.get_num_threads(),
            }
        return {
            "space": describe(self.space),
            "task": describe(self.task),
            "training": describe(self.training),
            "seed": self.seed,
            "device": resolve_device(self.device).type,
            **self._identity,
            **versions(),
        }
