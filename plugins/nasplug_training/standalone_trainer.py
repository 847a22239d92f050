"""Trains one stand-alone network from the weights that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from math import ceil, isfinite
from typing import Any, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, Task, seeded
from nasplug.toolkit.networks.devices import move, precision, to_channels_last
from nasplug.toolkit.networks.nested import map_tensors, tensors
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.optimization import Optimization
from nasplug_training.subnetwork import measure


class Diverged(Exception):
    """The loss of a training is no finite number any more."""


@final
class StandaloneTrainer:
    """A course of training, at full or reduced fidelity, the same for every network.

    Everybody sees the same batches, by `seed`; what a network itself draws (dropout) follows from a
    seed of its own, so that nothing depends on who was trained before.
    """

    def __init__(
        self,
        task: Task,
        optimization: Optimization,
        epochs: int,
        batch_size: int,
        steps: int,
        share: float,
        image_size: int | None,
        stop_after: int,
        stop_at: float,
        seed: int,
        device: torch.device,
    ) -> None:
        """`steps` is how many batches a whole epoch has; the rest is as in `TrainingEvaluator`."""
        self.task = task
        self.optimization = optimization
        self.epochs = epochs
        self.batch_size = batch_size
        self.steps = ceil(share * steps)
        self.image_size = image_size
        self.stop_after = stop_after
        self.stop_at = stop_at
        self.seed = seed
        self.device = device

    def train(self, network: nn.Module, own: Sequence[int], checkpoint: Checkpoint | None) -> int:
        """Train `network` in to_channels_last, with the seed `own`; how many epochs it had.

        It goes on from `checkpoint`, where something is saved. `Diverged` if the loss does.
        """
        optimizer = self.optimization.make_optimizer(to_channels_last(network, self.device))
        begin = self._restore(network, optimizer, checkpoint)
        with resized(network, self.image_size):
            for epoch in range(begin, self.epochs):
                with seeded(int(np.random.default_rng([*own, epoch]).integers(2**62))):
                    loss = self._epoch(network.train(), optimizer, epoch)
                if not isfinite(loss):
                    raise Diverged(f"the loss of epoch {epoch + 1} is {loss}")
                if epoch + 1 == self.stop_after < self.epochs and self._hopeless(network):
                    return epoch + 1
                if checkpoint:
                    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
                    checkpoint.save({"epoch": epoch + 1, **state})
        return self.epochs

    def quality(
        self, network: nn.Module, metrics: Collection[str], test: bool = False
    ) -> dict[str, float]:
        """Those metrics of the task of a network on the device, at the image size of its training, on
        validation or on test data."""
        with resized(network, self.image_size):
            return measure(network.eval(), self.task, self.device, metrics, test)

    def _epoch(self, network: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        """The mean loss of an epoch's steps."""
        how, losses = self.optimization, []
        batches = islice(self.task.train_batches(self.batch_size, self.seed, epoch), self.steps)
        for group, done in how.groups(batches, self.steps):
            rate = how.rate(how.lr, epoch + done, self.epochs)
            backward = partial(self._backward, network)
            losses.append(how.step(optimizer, network, rate, group, backward))
        return float(torch.stack(losses).mean())

    def _backward(self, network: nn.Module, batch: Any) -> torch.Tensor:
        with precision(self.device):
            loss = self.task.loss(network, move(batch, self.device))
        torch.autograd.backward(loss)
        return loss

    def _hopeless(self, network: nn.Module) -> bool:
        name, metric = next(iter(self.task.metrics.items()))
        value = self.quality(network, [name])[name]
        return value < self.stop_at if metric.direction == "maximize" else value > self.stop_at

    def _restore(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        checkpoint: Checkpoint | None,
    ) -> int:
        """The epoch to begin with."""
        state = checkpoint.load() if checkpoint else None
        if state is None:
            return 0
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])


@contextmanager
def resized(network: nn.Module, size: int | None) -> Iterator[None]:
    """Within it the network sees its images at `size` x `size`, by bilinear interpolation; None: as
    they are. Images are inputs of real numbers with four axes; an error where there are none."""
    if size is None:
        yield
        return

    def shrink(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        given = list(tensors((inputs, keywords)))
        if not any(map(_is_image, given)):
            shapes = ", ".join(str(tuple(x.shape)) for x in given)
            raise NasplugError(
                "image_size of evaluator=training needs images, of shape (batch, channels, height, "
                f"width), but the task gives {shapes}; leave image_size out"
            )
        return map_tensors(lambda x: _interpolate(x, size), (inputs, keywords))

    hook = network.register_forward_pre_hook(shrink, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _is_image(x: torch.Tensor) -> bool:
    return x.ndim == 4 and x.is_floating_point()


def _interpolate(x: torch.Tensor, size: int) -> torch.Tensor:
    if not _is_image(x):
        return x
    return functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
