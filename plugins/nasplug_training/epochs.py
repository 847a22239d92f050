"""How long an epoch is."""

from __future__ import annotations

import operator

from nasplug import NasplugError, Task


def steps(task: Task, batch_size: int, seed: int) -> int:
    """Batches in an epoch; one pass over the data where the iterator gives no hint."""
    batches = task.train_batches(batch_size, seed, 0)
    found = operator.length_hint(batches) or sum(1 for _ in batches)
    if not found:
        raise NasplugError(f"{type(task).__name__} must have training data, but gave no batch")
    return found
