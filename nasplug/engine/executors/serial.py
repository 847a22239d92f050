"""executor=serial: one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.executor import Executor, Measure
from nasplug.contracts.types import Outcome, Trial
from nasplug.toolkit.system.batches import chunks


@final
class Serial(Executor):
    """One after the other, in this process, where nothing can end an evaluation that hangs."""

    def __init__(self, timeout: float | None = None) -> None:
        if timeout is not None:
            raise NasplugError(
                "executor.timeout must be left out with executor=serial, for an evaluation that hangs "
                "ends only with its process; executor=processes executor.workers=1 measures one at a "
                "time in a process of its own"
            )
        self.timeout = timeout

    def run(
        self, measure: Measure, trials: Sequence[Trial], preferred_batch: int
    ) -> Iterator[tuple[int, Outcome]]:
        """In the order given."""
        for places in chunks(len(trials), preferred_batch):
            yield from zip(places, measure([trials[i] for i in places]), strict=True)
