"""How a batch of architectures is cut into calls."""

from __future__ import annotations


def chunks(n: int, chunk: int) -> list[range]:
    """The positions 0 to `n` - 1, `chunk` to a call, the last call with what is left."""
    return [range(start, min(start + chunk, n)) for start in range(0, n, chunk)]
