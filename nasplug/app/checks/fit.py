"""Whether a space's networks take what a task gives: seen before anything long begins."""

from __future__ import annotations

from collections.abc import Mapping

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.task import Task
from nasplug.toolkit.networks.nested import named_tensors
from nasplug.toolkit.networks.seeding import seeded

EXAMPLES = 2


def check_fit(space: SearchSpace, task: Task) -> None:
    """An error in one line where the smallest network cannot work on a batch of the task's, such as
    one for colour pictures on grey ones."""
    import torch

    try:
        with seeded(0):
            network = space.build(space.smallest).eval()
    except NasplugError:
        return  # this space has no networks, or says itself what is wrong when they are needed
    except (RuntimeError, MemoryError) as error:
        raise NasplugError(
            f"the smallest network of the space must fit into memory, but: {' '.join(str(error).split())}"
        ) from error
    batch = next(iter(task.calibration_batches(EXAMPLES)), None)
    if batch is None:
        return
    try:
        with torch.no_grad():
            task.loss(network, batch)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = [f"{n} {s}".strip() for n, s in _shapes(task.inputs(batch))]
        reason = " ".join(str(error).split())
        given = ", ".join(shapes) or "none"
        raise NasplugError(
            f"the networks of the space must work on the task's inputs, of shape {given}, but: {reason}. "
            "Choose another task=NAME, or change the model's inputs or outputs"
        ) from error


def _shapes(inputs: Inputs) -> list[tuple[str, tuple[int, ...]]]:
    """Of one example; keywords with their names."""
    named = isinstance(inputs, Mapping)
    return [(name if named else "", tuple(x.shape[1:])) for name, x in named_tensors(inputs)]
