"""Executor: where evaluations run."""

from __future__ import annotations

import os
import pickle
import signal
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from math import isfinite
from multiprocessing import get_context
from typing import final

from nasplug.errors import NasplugError, at_least
from nasplug.evaluator import Evaluator
from nasplug.types import Architecture, Failure, Measurement, Outcome


@final
@dataclass(frozen=True)
class Measure:
    """Measures `names` with `evaluator`, whatever happens: what goes wrong becomes a Failure."""

    evaluator: Evaluator
    names: tuple[str, ...]

    def __call__(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """An outcome with its seconds for every architecture, in order."""
        start = time.perf_counter()
        try:
            outcomes = self.evaluator.evaluate(archs, self.names)
        except NasplugError:
            raise  # a mistake of the user's, not of the architecture's
        except Exception as error:
            if len(archs) > 1:
                return [outcome for arch in archs for outcome in self([arch])]
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(str(error).split())
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            outcomes = [Failure(f"{type(error).__name__}: {text} ({place})")]
        seconds = (time.perf_counter() - start) / max(len(archs), 1)
        return [replace(self._finite(outcome), seconds=seconds) for outcome in outcomes]

    def _finite(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Measurement):
            for name in self.names:
                if not isfinite(outcome.values.get(name, float("nan"))):
                    return Failure(
                        f"{name} must be a finite number, but got {outcome.values.get(name)}"
                    )
        return outcome


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


def _chunks(n: int, chunk: int) -> list[range]:
    return [range(start, min(start + chunk, n)) for start in range(0, n, chunk)]


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
        for places in _chunks(len(archs), chunk):
            yield from zip(places, measure([archs[i] for i in places]), strict=True)


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
            for places in _chunks(len(archs), chunk)
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
