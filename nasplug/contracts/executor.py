"""Executor: where evaluations run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from nasplug.contracts.types import Architecture, Outcome


class Executor(ABC):
    """Runs measurements, one at a time or many at once.

    Order of calls: `run` for every batch of a search, always with the same `measure`; `close` at
    the end, also after an error. Which results come of it never depends on the executor.
    """

    @abstractmethod
    def run(
        self,
        measure: Callable[[Sequence[Architecture]], list[Outcome]],
        archs: Sequence[Architecture],
        chunk: int,
    ) -> Iterator[tuple[int, Outcome]]:
        """Measure `archs`, `chunk` to a call, and yield (position, outcome) as they arrive."""

    def close(self) -> None:
        """Free what `run` holds."""
        return None
