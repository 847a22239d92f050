"""Whether a space's networks take what a task gives: seen before anything long begins."""

from __future__ import annotations

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.task import Task
from nasplug.toolkit.seeding import seeded

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
        shapes = [tuple(x.shape[1:]) for x in task.inputs(batch) if isinstance(x, torch.Tensor)]
        reason = " ".join(str(error).split())
        given = ", ".join(map(str, shapes)) or "other inputs"
        raise NasplugError(
            f"the networks of the space must work on the task's inputs, of shape {given}, but: {reason}. "
            "Choose another task=NAME, or change the model's inputs or outputs"
        ) from error
