"""Evaluator `training`: every network trained by itself, from fresh weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from math import isfinite
from typing import Annotated, Any, final

import numpy as np
from torch import nn

from nasplug import (
    Architecture,
    Evaluator,
    Metric,
    NasplugError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    SearchSpace,
    Task,
    describe,
    require_at_least,
    seeded,
)
from nasplug.contracts.types import Outcome, Trial
from nasplug.toolkit.networks.devices import resolve_device, threads, to_channels_last, to_cpu
from nasplug.toolkit.system.cache import cache_folder
from nasplug_training import epochs as lengths
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.failure_guard import guarded
from nasplug_training.identity import of_network, sample_batch
from nasplug_training.optimization import Optimization
from nasplug_training.standalone_trainer import Diverged, StandaloneTrainer, resized
from nasplug_training.weight_cache import WeightCache, versions
from nasplug_training.weights import load

log = logging.getLogger(__name__)


@final
class TrainingEvaluator(Evaluator):
    """Trains each network of its own, and measures the task's quality of it.

    A network begins with fresh weights, from a seed that follows from `seed` and the architecture;
    all see the same batches. So a value depends on the architecture alone, not on what was trained
    before. A loss that is no finite number fails the architecture. What was trained is kept in
    `cache`: a network is trained once, and is there to be exported.

    Less than the full training ranks architectures nearly as well, for less: fewer `epochs`, a
    `share` of each epoch's batches, a smaller `image_size` (Abdelfattah et al., "Zero-cost proxies
    for lightweight NAS", ICLR 2021, section 3.1, call it reduced training). Narrower networks are
    the space's affair, where it has such a knob (space.width_mult=0.5, space.width=8).
    """

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        epochs: PositiveInt = 20,
        batch_size: Annotated[int, Range(ge=2)] = 64,
        share: Annotated[float, Range(gt=0, le=1)] = 1.0,
        image_size: PositiveInt | None = None,
        stop_after: NonNegativeInt = 0,
        stop_at: float = 0.0,
        optimizer: str = "sgd",
        lr: PositiveFloat = 0.05,
        momentum: Annotated[float, Range(ge=0, lt=1)] = 0.9,
        weight_decay: NonNegativeFloat = 3e-5,
        warmup: NonNegativeFloat = 1.0,
        clip: NonNegativeFloat = 0.0,
        decay: str = "cosine",
        final_lr: Annotated[float, Range(ge=0, le=1)] = 0.0,
        beta2: Annotated[float, Range(ge=0, lt=1)] = 0.999,
        accumulate: PositiveInt = 1,
        device: str = "auto",
        seed: NonNegativeInt = 0,
        cache: str | None = None,
        keep: bool = True,
        threads: PositiveInt = 1,
    ) -> None:
        """`share` of each epoch's batches are trained on. At `image_size` images are trained on and
        measured. A network whose main metric is worse than `stop_at` after `stop_after` epochs (0:
        never) is hopeless: it is trained no longer, and measured as it is. `optimizer` to `accumulate` are
        those of `Optimization`. `cache` is a folder, by default that of
        `nasplug.toolkit.system.cache.cache_folder("networks")`; without `keep` it is left alone, and an
        export trains once more. `threads` are the CPU threads of one training: fixed, and part of
        the key of what is kept, since the last bits of weights depend on their number.
        """
        self.space = space
        self.task = task
        self.epochs = epochs
        self.batch_size = batch_size
        self.share = share
        self.image_size = image_size
        self.stop_after = stop_after
        self.stop_at = stop_at
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.clip = clip
        self.decay = decay
        self.final_lr = final_lr
        self.beta2 = beta2
        self.accumulate = accumulate
        self.device = device
        self.seed = seed
        self.cache = cache
        self.keep = keep
        self.threads = threads
        _check(self)
        self._announced = False
        self._optimization = Optimization(
            optimizer, lr, momentum, weight_decay, warmup, clip, decay, final_lr, beta2, accumulate
        )

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The task's."""
        return self.task.metrics

    def prepare(self) -> None:
        """Look at the data once, for all processes that will train."""
        if self.keep:
            _ = self._data

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """The task's quality of each, on the validation data; what an architecture raises fails it."""
        archs = [trial.arch for trial in trials]
        with threads(self.threads):
            return [guarded(partial(self._quality, tuple(arch), names)) for arch in archs]

    def test_quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        """The task's, of the trained network; it must have been kept."""
        if not self.keep and type(self.task).test_quality is not Task.test_quality:
            raise NasplugError(
                "keep=false of evaluator=training keeps no network, so each would be trained once more"
            )
        with threads(self.threads):
            network = self._trained(tuple(arch))
            with seeded(self.seed):
                return self._trainer.quality(network, names, test=True)

    def network(self, arch: Architecture) -> nn.Module:
        """The trained network, as it was measured."""
        with threads(self.threads):
            network = self._trained(tuple(arch)).eval()
        return to_cpu(network)

    def __getstate__(self) -> dict[str, Any]:
        """Without what every process makes for itself."""
        return {k: v for k, v in vars(self).items() if k not in ("_trainer", "_batch")}

    def _quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        network = self._trained(arch)
        with seeded(self.seed):
            quality = self._trainer.quality(network, names)
        for name in names:
            if not isfinite(quality[name]):
                raise Diverged(f"{name} is {quality[name]}")
        return {name: quality[name] for name in names}

    def _trained(self, arch: Architecture) -> nn.Module:
        """The network of `arch` on the device, trained here or before."""
        with seeded(int(np.random.default_rng([self.seed, *arch]).integers(2**62))):
            network = self.space.build(arch)
            if not self.keep:
                self._train(network, arch, None)
                return network
            description = self._description(arch, network)
        folder = cache_folder("networks", self.cache)
        kept = WeightCache(folder, "network", logging.DEBUG).obtain(
            description, lambda checkpoint: self._train(network, arch, checkpoint)
        )
        if kept.trained and not self._announced:
            log.info(
                "a network was trained on %s, kept in %s; so may be others", kept.trained, folder
            )
            self._announced = True
        load(network, kept.state, str(kept.path))
        return to_channels_last(network, self._trainer.device)

    def _train(self, network: nn.Module, arch: Architecture, checkpoint: Checkpoint | None) -> Any:
        start = time.monotonic()
        reached = self._trainer.train(network, [self.seed, *arch], checkpoint)
        remarks = {"epochs": reached, "seconds": round(time.monotonic() - start, 1)}
        return network.state_dict(), remarks

    @cached_property
    def _trainer(self) -> StandaloneTrainer:
        return StandaloneTrainer(
            self.task,
            self._optimization,
            self.epochs,
            self.batch_size,
            lengths.steps(self.task, self.batch_size, self.seed),
            self.share,
            self.image_size,
            self.stop_after,
            self.stop_at,
            self.seed,
            resolve_device(self.device),
        )

    @cached_property
    def _data(self) -> str:
        return self.task.data_fingerprint()

    @cached_property
    def _batch(self) -> Any:
        return sample_batch(self.task)

    def _description(self, arch: Architecture, network: nn.Module) -> dict[str, Any]:
        """All that determines the trained weights."""
        knobs = {k: v for k, v in describe(self).items() if k not in ("cache", "keep", "device")}
        with resized(network, self.image_size):
            made = of_network(network, self.space, self.task, self._batch)
        return {
            **knobs,
            "architecture": list(arch),
            "network": made,
            "data": self._data,
            "device": resolve_device(self.device).type,
            **versions(),
        }


def _check(made: TrainingEvaluator) -> None:
    for name, least in LEAST.items():
        require_at_least(f"{name} of evaluator=training", getattr(made, name), least)
    if not 0 < made.share <= 1:
        raise NasplugError(
            f"share of evaluator=training must be above 0 and at most 1, but got {made.share}"
        )
    if made.image_size is not None:
        require_at_least("image_size of evaluator=training", made.image_size, 1)


LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "stop_after": 0,
    "lr": 0,
    "momentum": 0,
    "weight_decay": 0,
    "warmup": 0,
    "clip": 0,
    "final_lr": 0,
    "beta2": 0,
    "accumulate": 1,
    "threads": 1,
}
