"""What a fresh network is and does: kept weights are those of the same code, data and settings.

A configuration names classes, and an author may change a class: the key of trained weights
therefore holds a hash of the network as it is made, of what it computes and of how it learns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from nasplug import NasplugError, SearchSpace, SuperNetwork, Task, seeded
from nasplug.contracts.fingerprint import fingerprint
from nasplug.contracts.inputs import call
from nasplug.toolkit.networks.devices import detach, threads
from nasplug_training.subspace import Subspace

EXAMPLES, SAMPLES = 2, 8
"""How many example inputs, and of how many training samples a batch, a network is tried on."""
DRAWN = 3
"""How many random sub-networks of a super-network are tried."""


def sample_batch(task: Task) -> Any:
    """A small training batch, always the same."""
    batch = next(iter(task.train_batches(SAMPLES, seed=0)), None)
    if batch is None:
        raise NasplugError(f"{type(task).__name__} must have training data, but gave no batch")
    return batch


def of_network(network: nn.Module, space: SearchSpace, task: Task, batch: Any) -> str:
    """The hash of a fresh stand-alone network: its modules, parameters and buffers, outputs in
    evaluation mode for the example inputs, and in training mode outputs and loss for `batch`.

    Computed in one CPU thread, on the CPU, on which the network is. It is left as it was.
    """
    with threads(1), _unchanged(network):
        return fingerprint(
            _made(network), _outputs(network, space), _learning(network, task, batch)
        )


def of_supernet(supernet: SuperNetwork, space: SearchSpace, task: Task, distilled: bool) -> str:
    """The same of a fresh super-network, for some random, its smallest, a middle and its largest
    sub-network, which is active in the end; and the design variables, from which training draws.

    `distilled` says whether the task's distillation loss takes part.
    """
    network, all_ = cast(nn.Module, supernet), Subspace(space)
    drawn = all_.sample(DRAWN, np.random.default_rng(0))
    archs = [*drawn, all_.smallest, all_.middle, all_.largest]
    variables = [(v.name, [repr(option) for option in v.options]) for v in space.variables]
    with threads(1), _unchanged(network):
        parts: list[Any] = [variables, archs, _made(network)]
        for arch in archs:
            supernet.activate(arch)
            parts.append(_outputs(network, space))
        parts.append(_learning(network, task, sample_batch(task), distilled))
    return fingerprint(*parts)


def _made(network: nn.Module) -> Any:
    return repr(network), network.state_dict()


@torch.no_grad()
def _outputs(network: nn.Module, space: SearchSpace) -> Any:
    """For the example inputs; noise stands in for real numbers, which some spaces give as zeros."""
    generator = torch.Generator().manual_seed(0)

    def noise(x: torch.Tensor) -> torch.Tensor:
        if not x.is_floating_point():
            return x
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    inputs = tree_map_only(torch.Tensor, noise, space.example_inputs(EXAMPLES))
    return call(network.eval(), inputs)


@torch.no_grad()
def _learning(network: nn.Module, task: Task, batch: Any, distilled: bool = False) -> Any:
    """Outputs and losses in training mode, where what is random (dropout) is always the same."""
    with seeded(0):
        outputs = task.forward(network.train(), batch)
    with seeded(0):
        loss = task.loss(network, batch)
    return outputs, loss, task.distillation(outputs, detach(outputs)) if distilled else None


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Within it a network may compute; afterwards its mode and its buffers are as they were."""
    mode = network.training
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        network.train(mode)
        for buffer, before in buffers:
            buffer.copy_(before)
