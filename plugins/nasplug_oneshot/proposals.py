"""Batches to propose, and what is left when nothing speaks for any."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasplug import SearchSpace
from nasplug.contracts.types import Architecture
from nasplug.toolkit.searching.ask_tell import Search

BATCH = 16
"""Architectures in a batch of those that nothing speaks for."""

Batches = Iterator[list[Architecture]]
"""What to propose; the next batch is made when the values of the last are told."""


def nonempty(batches: Iterator[list[Architecture]]) -> Search:
    """`batches` as a search for `AskTell`, for which an empty batch is the end."""
    for batch in batches:
        if batch:
            yield batch


def the_rest(space: SearchSpace, seen: set[Architecture], rng: np.random.Generator) -> Batches:
    """What is not in `seen`, to which it is added, in random order, until the space is exhausted."""
    while batch := [tuple(row) for row in space.sample(BATCH, rng, seen).tolist()]:
        seen.update(batch)
        yield batch
