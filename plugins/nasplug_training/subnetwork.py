"""Sub-networks with inherited weights: taken out, their statistics estimated, ready to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from nasplug import Architecture, SuperNetwork, Task
from nasplug.toolkit.calibration import calibrate
from nasplug.toolkit.devices import channels_last, move, precision


def calibration_inputs(task: Task, batch_size: int, device: torch.device) -> list[tuple[Any, ...]]:
    """The inputs on which statistics are estimated, kept on `device`."""
    return [move(task.inputs(batch), device) for batch in task.calibration_batches(batch_size)]


def inherit(
    supernet: SuperNetwork,
    arch: Architecture,
    inputs: Sequence[tuple[Any, ...]],
    device: torch.device,
) -> nn.Module:
    """The stand-alone network of `arch`, calibrated on `inputs`, in evaluation mode.

    The super-network and the inputs are on `device`, and so is the network.
    """
    network = channels_last(supernet.extract(arch))
    with precision(device):
        calibrate(network, inputs)
    return network


def measure(network: nn.Module, task: Task, device: torch.device) -> dict[str, float]:
    """The task's quality of a network on `device`."""
    with precision(device):
        return task.quality(network)


def on_cpu(network: nn.Module) -> nn.Module:
    """`network` itself, moved to the CPU, its weights in the usual layout in memory."""
    moved: nn.Module = cast(Any, network).to("cpu", memory_format=torch.contiguous_format)
    return moved
