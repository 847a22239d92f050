"""Proposals: batches of architectures, asked and told as a Strategy is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np

from nasplug import NasplugError, SearchSpace
from nasplug.types import Architecture

BATCH = 16
"""Architectures in a batch of those that nothing speaks for."""

Batches = Iterator[list[Architecture]]
"""What to propose; the next batch is made when the values of the last are told."""


@final
class Proposals:
    """Answers `ask` from `batches`, however a batch is cut.

    The next batch is made once the whole one before is told, so the history does not depend on the
    `n` of any `ask`. A search under way does not pickle: the copy of its strategy is set up again.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._left: list[Architecture] = []

    def ask(self, n: int) -> list[Architecture]:
        """At most `n` architectures of the batch at hand; empty once there are no more."""
        while not self._left:
            batch = next(self._batches, None)
            if batch is None:
                return []
            self._left = batch
        return self._left[:n]

    def tell(self, archs: Sequence[Architecture]) -> None:
        """What was asked, or its beginning, is measured."""
        if list(archs) != self._left[: len(archs)]:
            raise NasplugError(
                "`tell` must get what the last `ask` returned, or its beginning, in order"
            )
        self._left = self._left[len(archs) :]

    def __reduce__(self) -> tuple[Callable[[], Proposals], tuple[()]]:
        return _to_be_set_up, ()


def _to_be_set_up() -> Proposals:
    def batches() -> Batches:
        raise NasplugError("`setup` must come before `ask`; a copied strategy is set up again")
        yield []

    return Proposals(batches())


def the_rest(space: SearchSpace, seen: set[Architecture], rng: np.random.Generator) -> Batches:
    """What is not in `seen`, to which it is added, in random order, until the space is exhausted."""
    while batch := [tuple(row) for row in space.sample(BATCH, rng, seen).tolist()]:
        seen.update(batch)
        yield batch
