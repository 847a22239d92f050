"""Random numbers of networks, without touching anybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it torch draws from `seed`, on every device; afterwards its state is as before.

    >>> with seeded(0):
    ...     network = space.build(arch)
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
