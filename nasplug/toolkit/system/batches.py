"""How a batch of architectures is cut into calls."""

from __future__ import annotations


def chunks(n: int, preferred_batch: int) -> list[range]:
    """The positions 0 to `n` - 1, `preferred_batch` to a call, the last call with what is left."""
    return [range(start, min(start + preferred_batch, n)) for start in range(0, n, preferred_batch)]
