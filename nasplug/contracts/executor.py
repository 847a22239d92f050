"""Executor: where evaluations run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from nasplug.contracts.types import Outcome, Trial

Measure = Callable[[Sequence[Trial]], list[Outcome]]
"""Measures architectures, in order; it can be pickled."""


class Executor(ABC):
    """Runs measurements, one at a time or many at once.

    Order of calls: `run` for every batch of a search, always with one of the same few `measure`;
    `close` at the end, also after an error. Which results come of it never depends on the executor.
    """

    workers: int = 1
    """How many calls of `measure` are under way at once, at most."""

    survives: bool = False
    """Whether an evaluation that ends its process (a crash in native code) does not end the search."""

    restarts: int = 0
    """How many processes were started in the place of another that died or took too long."""

    @abstractmethod
    def run(
        self, measure: Measure, trials: Sequence[Trial], preferred_batch: int
    ) -> Iterator[tuple[int, Outcome]]:
        """Measure `trials`, `preferred_batch` to a call, and yield (position, outcome) as they arrive."""

    def close(self) -> None:
        """Free what `run` holds."""
        return None
