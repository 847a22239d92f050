"""Evaluator `training`: every network trained by itself, from fresh weights."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from math import isfinite
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nasplug import (
    Architecture,
    Evaluator,
    Metric,
    NasplugError,
    SearchSpace,
    Task,
    at_least,
    describe,
    seeded,
)
from nasplug.contracts.types import Outcome
from nasplug.toolkit.devices import pick, place, threads
from nasplug_training import epochs as lengths
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.descent import Descent
from nasplug_training.outcome import measured
from nasplug_training.single import Diverged, Single
from nasplug_training.store import Store, folder, versions
from nasplug_training.weights import load, read


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
        epochs: int = 20,
        batch_size: int = 64,
        share: float = 1.0,
        image_size: int | None = None,
        stop_after: int = 0,
        stop_at: float = 0.0,
        optimizer: str = "sgd",
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 3e-5,
        warmup: float = 1.0,
        clip: float = 0.0,
        device: str = "auto",
        seed: int = 0,
        cache: str | None = None,
        keep: bool = True,
        threads: int = 1,
    ) -> None:
        """`share` of each epoch's batches are trained on. At `image_size` images are trained on and
        measured. A network whose main metric is worse than `stop_at` after `stop_after` epochs (0:
        never) is hopeless: it is trained no longer, and measured as it is. `optimizer` to `clip` are
        those of `Descent`. `cache` is a folder, by default $XDG_CACHE_HOME/nasplug/networks, or the
        same in ~/.cache; without `keep` it is left alone, and an export trains once more. `threads`
        are the CPU threads of one training: fixed, since the last bits depend on their number.
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
        self.device = device
        self.seed = seed
        self.cache = cache
        self.keep = keep
        self.threads = threads
        _check(self)
        self._descent = Descent(optimizer, lr, momentum, weight_decay, warmup, clip)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The task's."""
        return self.task.metrics

    def evaluate(self, archs: Sequence[Architecture], names: Sequence[str]) -> list[Outcome]:
        """The task's quality of each, on the validation data; what an architecture raises fails it."""
        with threads(self.threads):
            return [measured(partial(self._quality, tuple(arch), names)) for arch in archs]

    def network(self, arch: Architecture) -> nn.Module:
        """The trained network, as it was measured."""
        with threads(self.threads):
            network = self._trained(tuple(arch)).eval()
        return network.to("cpu", memory_format=torch.contiguous_format)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is counted once a process."""
        return {k: v for k, v in vars(self).items() if k != "_single"}

    def _quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        network = self._trained(arch)
        with seeded(self.seed):
            quality = self._single.quality(network)
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
        store = Store(folder(self.cache, "networks"), "network", logging.DEBUG)
        path = store.obtain(description, lambda checkpoint: self._train(network, arch, checkpoint))
        load(network, read(path), str(path))
        return place(network, self._single.device)

    def _train(self, network: nn.Module, arch: Architecture, checkpoint: Checkpoint | None) -> Any:
        start = time.monotonic()
        reached = self._single.train(network, [self.seed, *arch], checkpoint)
        remarks = {"epochs": reached, "seconds": round(time.monotonic() - start, 1)}
        return network.state_dict(), remarks

    @cached_property
    def _single(self) -> Single:
        return Single(
            self.task,
            self._descent,
            self.epochs,
            self.batch_size,
            lengths.steps(self.task, self.batch_size, self.seed),
            self.share,
            self.image_size,
            self.stop_after,
            self.stop_at,
            self.seed,
            pick(self.device),
        )

    def _description(self, arch: Architecture, network: nn.Module) -> dict[str, Any]:
        """All that determines the trained weights."""
        knobs = {k: v for k, v in describe(self).items() if k not in ("cache", "keep", "device")}
        return {
            **knobs,
            "architecture": list(arch),
            "network": _fingerprint(network, self.space.example_inputs(2)),
            "device": pick(self.device).type,
            **versions(),
        }


def _check(made: TrainingEvaluator) -> None:
    for name, least in LEAST.items():
        at_least(f"{name} of evaluator=training", getattr(made, name), least)
    if not 0 < made.share <= 1:
        raise NasplugError(
            f"share of evaluator=training must be above 0 and at most 1, but got {made.share}"
        )
    if made.image_size is not None:
        at_least("image_size of evaluator=training", made.image_size, 1)


LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "stop_after": 0,
    "lr": 0,
    "momentum": 0,
    "weight_decay": 0,
    "warmup": 0,
    "clip": 0,
    "threads": 1,
}


@torch.no_grad()
def _fingerprint(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> str:
    """What a fresh network is and does: a class that its author changed makes another network,
    though it is described as before."""
    outputs = network.eval()(*inputs)
    network.train()
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    for tensor in outputs if isinstance(outputs, (tuple, list)) else (outputs,):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
