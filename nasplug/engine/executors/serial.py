"""executor=serial: one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import final

from nasplug.contracts.executor import Executor
from nasplug.contracts.types import Architecture, Outcome
from nasplug.engine.executors.batches import chunks


@final
class Serial(Executor):
    """One after the other, in this process."""

    def run(
        self,
        measure: Callable[[Sequence[Architecture]], list[Outcome]],
        archs: Sequence[Architecture],
        chunk: int,
    ) -> Iterator[tuple[int, Outcome]]:
        """In the order given."""
        for places in chunks(len(archs), chunk):
            yield from zip(places, measure([archs[i] for i in places]), strict=True)
