"""AskTell: a search written as a generator, asked and told as a Strategy is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import islice
from typing import final

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.strategy import Problem
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial, full_trials

Search = Generator[Sequence[Architecture], FloatArray, None]
"""Yields a batch of architectures, is sent their values of shape (n, metrics), yields the next. It
ends by returning, or with an empty batch."""


@final
class AskTell:
    """Adapts a `Search` to `ask` and `tell`: it resumes once its whole batch is told.

    A batch may be asked for and told in any number of pieces and in any order. So the history
    depends neither on the `n` of any `ask` nor on which result comes first. A search under way does
    not pickle: the copy of its strategy must be set up again.

    >>> ask_tell = AskTell(search(problem), problem)
    >>> trials = ask_tell.ask(8)
    >>> ask_tell.tell(results)
    """

    def __init__(self, search: Search, problem: Problem | None) -> None:
        self._search, self._problem = search, problem
        self._batch: list[Trial] = []
        self._left: dict[Trial, None] = {}
        self._told: dict[Trial, FloatArray] = {}
        self._started = self._over = False

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> list[Trial]:
        """At most `n` trials of the batch at hand that are neither told nor pending."""
        if not self._left and not self._over:
            self._next_batch()
        waiting = set(pending)
        return list(islice((trial for trial in self._left if trial not in waiting), n))

    def tell(self, results: Sequence[Record]) -> None:
        """What came of trials of the batch at hand."""
        assert self._problem is not None
        for result, row in zip(results, self._problem.values(results), strict=True):
            if result.trial not in self._left:
                raise NasplugError(
                    "`tell` must get results of trials that `ask` returned, each once, but got one of "
                    f"{result.arch}"
                )
            del self._left[result.trial]
            self._told[result.trial] = row

    def _next_batch(self) -> None:
        try:
            told = [self._told[trial] for trial in self._batch]
            archs = self._search.send(np.array(told)) if self._started else next(self._search)
        except StopIteration:
            archs = []
        self._batch, self._told, self._started = full_trials(archs), {}, True
        self._left = dict.fromkeys(self._batch)
        self._over = not self._batch

    def __reduce__(self) -> tuple[Callable[[], AskTell], tuple[()]]:
        return _to_be_set_up, ()


def _to_be_set_up() -> AskTell:
    def search() -> Search:
        raise NasplugError("`setup` must come before `ask`; a copied strategy is set up again")
        yield

    return AskTell(search(), None)
