"""Trains a super-network, whatever its space, task and schedule."""

from __future__ import annotations

import logging
import time
from functools import partial
from math import isfinite
from typing import Any, cast, final

import numpy as np
import torch
from torch import nn

from nasplug import Architecture, NasplugError, SearchSpace, SuperNetwork, Task, progress, seeded
from nasplug.toolkit.networks.devices import detach, move, precision, to_channels_last
from nasplug.toolkit.training.regularisation import train_without_dropout, zero_last_norms
from nasplug_training import epochs
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.schedule import Phase, Schedule
from nasplug_training.subnetwork import calibration_inputs, inherit, measure
from nasplug_training.subspace import Subspace

log = logging.getLogger(__name__)
SHOWN = 20
"""How often in an epoch the loss is shown, about."""


@final
class Trainer:
    """Trains a super-network in place: make one, call `train` once.

    Epochs are numbered through all phases, and all that an epoch draws follows from (seed, epoch):
    a training that goes on from a checkpoint ends with the weights of one that never stopped.
    """

    def __init__(
        self,
        supernet: SuperNetwork,
        space: SearchSpace,
        task: Task,
        schedule: Schedule,
        seed: int,
        device: torch.device,
    ) -> None:
        self.supernet = supernet
        self.task = task
        self.schedule = schedule
        self.seed = seed
        self.device = device
        self.plan = schedule.plan(space)
        self.all = Subspace(space)
        self.model = to_channels_last(cast(nn.Module, supernet), device)
        if schedule.zero_init and not zero_last_norms(self.model.modules()):
            raise NasplugError(
                "zero_init=true of training needs residual blocks (with a `residual_body`) that end in a "
                f"batch norm, but {type(supernet).__name__} shows none; leave it out "
                "(evaluator.training.zero_init=false)"
            )
        self.optimizer = schedule.make_optimizer(self.model)
        self.teacher: nn.Module | None = None

    def train(self, checkpoint: Checkpoint) -> dict[str, dict[str, float]]:
        """Train, and return the quality of the smallest, a middle and the largest sub-network."""
        timeline = [(phase, local) for phase in self.plan for local in range(phase.epochs)]
        steps = epochs.steps(self.task, self.schedule.batch_size, self.seed)
        start = time.monotonic()
        with progress("training the super-network", total=steps * len(timeline)) as bar:
            begin = self._restore(checkpoint)
            if begin:
                bar.advance(steps * begin)
            for epoch, (phase, local) in list(enumerate(timeline))[begin:]:
                if local == 0:
                    self._enter(phase)
                self._epoch(epoch, phase, local, steps, bar)
                every = self.schedule.report_every
                if every and (epoch + 1) % every == 0 and epoch + 1 < len(timeline):
                    bar.advance(0, **self._words(self.report()))
                checkpoint.save(self._state(epoch + 1))
        reached = self.report()
        words = "  ".join(f"{name} {text}" for name, text in self._words(reached).items())
        log.info("the super-network is trained, in %.0f s: %s", time.monotonic() - start, words)
        return reached

    def report(self) -> dict[str, dict[str, float]]:
        """The quality of the smallest, a middle and the largest sub-network as they are now."""
        inputs = calibration_inputs(self.task, self.schedule.batch_size, self.device)
        reached = {}
        with seeded(self.seed):
            for name in ("smallest", "middle", "largest"):
                network = inherit(self.supernet, getattr(self.all, name), inputs, self.device)
                reached[name] = measure(
                    network, self.task, self.device, [next(iter(self.task.metrics))]
                )
        return reached

    def _enter(self, phase: Phase) -> None:
        """Begin a phase: a new optimiser, and before the second one the teacher of all that follow."""
        if phase is not self.plan[0] and self.teacher is None:
            self.teacher = self._largest()
        if phase.sort_channels:
            before = self.plan[: self.plan.index(phase)]
            self.supernet.sort_channels(sum(earlier.sort_channels for earlier in before))
        self.optimizer = self.schedule.make_optimizer(self.model)

    def _largest(self) -> nn.Module | None:
        """A teacher that stays as it is; none where the step's own largest teaches, or nobody."""
        if self.schedule.largest or not self.schedule.distillation_weight:
            return None
        with seeded(self.seed):
            largest = to_channels_last(self.supernet.extract(self.all.largest), self.device)
        return train_without_dropout(largest)

    def _epoch(self, epoch: int, phase: Phase, local: int, steps: int, bar: Any) -> None:
        rng = np.random.default_rng([self.seed, epoch])
        self.model.train()
        loss = torch.zeros((), device=self.device)
        with seeded(int(rng.integers(2**62))):
            batches = self.task.train_batches(self.schedule.batch_size, self.seed, epoch)
            every = -(-steps // (SHOWN * self.schedule.accumulate))
            how = self.schedule.optimization
            for step, (group, done) in enumerate(how.groups(batches, steps)):
                rate = how.rate(phase.lr, local + done, phase.epochs)
                backward = partial(self._backward, self._nets(phase, rng))
                loss = how.step(self.optimizer, self.model, rate, group, backward)
                shown = {"loss": f"{float(loss):.3f}"} if step % every == 0 else {}
                bar.advance(len(group), **shown)
        if not isfinite(float(loss)):
            raise NasplugError(
                f"training must keep a finite loss, but epoch {epoch + 1} ended with {float(loss)}; lower "
                "the learning rate (evaluator.training.lr) or limit the gradient (evaluator.training.clip=1)"
            )

    def _nets(self, phase: Phase, rng: np.random.Generator) -> list[Architecture]:
        """What a step trains, the largest first."""
        space = phase.subspace
        ends = [space.largest] * self.schedule.largest + [space.smallest] * self.schedule.smallest
        return ends + space.sample(phase.random, rng)

    def _backward(self, nets: list[Architecture], batch: Any) -> torch.Tensor:
        """Add the gradients of `nets` on one batch to those that there are; their mean loss."""
        batch = move(batch, self.device)
        with torch.no_grad(), precision(self.device):
            teacher_outputs = self.task.forward(self.teacher, batch) if self.teacher else None
        total = torch.zeros((), device=self.device)
        if self.schedule.regularize == "largest":
            self.model.train()
        for place_, arch in enumerate(nets):
            self.supernet.activate(arch)
            if place_ and self.schedule.regularize == "largest":
                train_without_dropout(self.model)
            with precision(self.device):
                outputs = self.task.forward(self.model, batch)
                loss = self._loss(outputs, batch, teacher_outputs)
            torch.autograd.backward(loss)
            total += loss.detach() / len(nets)
            if place_ == 0 and self.schedule.largest and self.schedule.distillation_weight:
                teacher_outputs = detach(outputs)
        return total

    def _loss(self, outputs: Any, batch: Any, teacher_outputs: Any) -> torch.Tensor:
        if teacher_outputs is None:
            return self.task.criterion(outputs, batch)
        loss = self.schedule.distillation_weight * self.task.distillation(outputs, teacher_outputs)
        if self.schedule.label_weight:
            loss = loss + self.schedule.label_weight * self.task.criterion(outputs, batch)
        return loss

    def _state(self, epoch: int) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "teacher": self.teacher.state_dict() if self.teacher else None,
        }

    def _restore(self, checkpoint: Checkpoint) -> int:
        """The epoch to begin with."""
        state = checkpoint.load()
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["teacher"]:
            self.teacher = self._largest()
            assert self.teacher is not None
            self.teacher.load_state_dict(state["teacher"])
        return int(state["epoch"])

    def _words(self, reached: dict[str, dict[str, float]]) -> dict[str, str]:
        name, metric = next(iter(self.task.metrics.items()))
        return {size: f"{values[name]:.4g} {metric.unit}" for size, values in reached.items()}
