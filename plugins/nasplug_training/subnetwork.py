"""Sub-networks with inherited weights: taken out, their statistics estimated, ready to be measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import nn

from nasplug import Architecture, SuperNetwork, Task
from nasplug.contracts.finalizer import Finalizer
from nasplug.contracts.inputs import Inputs
from nasplug.toolkit.networks.calibration import calibrate
from nasplug.toolkit.networks.devices import channels_last, move, precision


def calibration_inputs(task: Task, batch_size: int, device: torch.device) -> list[Inputs]:
    """The inputs on which statistics are estimated, kept on `device`."""
    return [move(task.inputs(batch), device) for batch in task.calibration_batches(batch_size)]


def inherit(
    supernet: SuperNetwork,
    arch: Architecture,
    inputs: Sequence[Inputs],
    device: torch.device,
    finalizers: Iterable[Finalizer] = (),
) -> nn.Module:
    """The stand-alone network of `arch`, its batch norms calibrated on `inputs` and then finished by
    each of `finalizers`, in evaluation mode.

    The super-network and the inputs are on `device`, and so is the network.
    """
    network = channels_last(supernet.extract(arch))
    with precision(device):
        calibrate(network, inputs)
        for step in finalizers:
            network = step.finalize(network, inputs).eval()
    return network


def measure(
    network: nn.Module,
    task: Task,
    device: torch.device,
    metrics: Collection[str],
    test: bool = False,
) -> dict[str, float]:
    """Those metrics of the task of a network on `device`, on validation or on test data."""
    with precision(device):
        return (task.test_quality if test else task.quality)(network, metrics)
