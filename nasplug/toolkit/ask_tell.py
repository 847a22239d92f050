"""AskTell: a search written as a generator, asked and told as a Strategy is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import final

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import Architecture, FloatArray

Search = Generator[Sequence[Architecture], FloatArray, None]
"""Yields a batch of architectures, is sent their values of shape (n, metrics), yields the next. It
ends by returning, or with an empty batch."""


@final
class AskTell:
    """Answers `ask` and `tell` from a `Search`, however a batch is cut.

    A batch may be asked for in any number of pieces; the search hears of it once the whole is told.
    So the history does not depend on the `n` of any `ask`, and asking for more only adds to the end.
    A search under way does not pickle: the copy of its strategy must be set up again.

    >>> rounds = AskTell(search(problem))
    >>> archs = rounds.ask(8)
    >>> rounds.tell(archs, values)
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._left: list[Architecture] = []
        self._told: list[FloatArray] = []
        self._over = False

    def ask(self, n: int) -> list[Architecture]:
        """At most `n` architectures of the batch at hand; empty once the search is over."""
        if not self._left and not self._over:
            try:
                told = self._told
                batch = self._search.send(np.concatenate(told)) if told else next(self._search)
            except StopIteration:
                batch = []
            self._left, self._told = list(batch), []
            self._over = not self._left
        return self._left[:n]

    def tell(self, archs: Sequence[Architecture], values: FloatArray) -> None:
        """The values of what was asked, or of its beginning, shape (len(archs), metrics)."""
        if list(archs) != self._left[: len(archs)]:
            raise NasplugError(
                "`tell` must get what the last `ask` returned, or its beginning, in order"
            )
        self._left = self._left[len(archs) :]
        if len(archs):
            self._told.append(np.asarray(values, float))

    def __reduce__(self) -> tuple[Callable[[], AskTell], tuple[()]]:
        return _to_be_set_up, ()


def _to_be_set_up() -> AskTell:
    def search() -> Search:
        raise NasplugError("`setup` must come before `ask`; a copied strategy is set up again")
        yield

    return AskTell(search())
