"""How long an epoch is."""

from __future__ import annotations

from nasplug import NasplugError, Task


def steps(task: Task, batch_size: int, seed: int) -> int:
    """Batches in an epoch, at least one."""
    found = task.steps_per_epoch(batch_size, seed)
    if not found:
        raise NasplugError(f"{type(task).__name__} must have training data, but gave no batch")
    return found
