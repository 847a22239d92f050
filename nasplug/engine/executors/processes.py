"""executor=processes: worker processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import final

from nasplug.contracts.errors import at_least
from nasplug.contracts.executor import Executor
from nasplug.contracts.types import Architecture, Failure, Outcome
from nasplug.engine.executors.batches import chunks


@final
class Processes(Executor):
    """In `workers` processes of this machine, which share its cores evenly.

    A worker that dies (out of memory, a crash in native code) does not end the search: what was
    under way is measured again, each on its own, and what kills its worker a second time is a Failure.
    """

    def __init__(self, workers: int = 2) -> None:
        at_least("workers of executor=processes", workers, 1)
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(
        self,
        measure: Callable[[Sequence[Architecture]], list[Outcome]],
        archs: Sequence[Architecture],
        chunk: int,
    ) -> Iterator[tuple[int, Outcome]]:
        """In the order of arrival."""
        chunk = max(1, min(chunk, -(-len(archs) // self.workers)))
        waiting = {
            self._start(measure).submit(_measure, [archs[i] for i in places]): places
            for places in chunks(len(archs), chunk)
        }
        broken: list[int] = []
        for future in as_completed(waiting):
            try:
                yield from zip(waiting[future], future.result(), strict=True)
            except BrokenProcessPool:
                broken += waiting[future]
        for place in broken:
            yield place, self._alone(measure, archs[place])

    def _alone(
        self, measure: Callable[[Sequence[Architecture]], list[Outcome]], arch: Architecture
    ) -> Outcome:
        self.close()
        future: Future[list[Outcome]] = self._start(measure).submit(_measure, [arch])
        try:
            return future.result()[0]
        except BrokenProcessPool:
            self.close()
            return Failure("its process died (out of memory, or a crash in native code)")

    def _start(self, measure: object) -> ProcessPoolExecutor:
        if self._pool is None:
            threads = max(1, (os.cpu_count() or 1) // self.workers)
            self._pool = ProcessPoolExecutor(
                self.workers, get_context("spawn"), _begin, (pickle.dumps(measure), threads)
            )
        return self._pool

    def close(self) -> None:
        """Stop the workers; what they have not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_here: Callable[[Sequence[Architecture]], list[Outcome]]


def _begin(measure: bytes, threads: int) -> None:
    """In a worker, before anything heavy is imported."""
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ["OMP_NUM_THREADS"] = str(threads)
    _here = pickle.loads(measure)


def _measure(archs: Sequence[Architecture]) -> list[Outcome]:
    return _here(archs)
