"""executor=processes: worker processes of this machine."""

from __future__ import annotations

import atexit
import os
import pickle
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any, final

from nasplug import PositiveInt
from nasplug.contracts.errors import NasplugError, require_at_least
from nasplug.contracts.executor import Executor, Measure
from nasplug.contracts.types import Failure, Outcome, Trial
from nasplug.toolkit.system.batches import chunks
from nasplug.toolkit.system.script_guard import UNGUARDED
from nasplug.toolkit.system.text import clean, shown
from nasplug_executors.worker import Guardian, Worker

LOOK = 1.0
"""Seconds between two looks at whether workers live: what a dead one forked may keep its pipe open."""
PATIENCE = 1.0
"""Seconds that idle workers are given to end by themselves."""
STARTS = 2
"""So many workers in a row may end before they are ready."""


@final
class Processes(Executor):
    """In `workers` processes of this machine, which share its cores evenly.

    A worker that dies (out of memory, a crash in native code) does not end the search: another takes
    its place, what was under way in it is measured again, each on its own and with nothing beside it,
    and what kills its worker then is a Failure. So is what takes longer than `timeout` seconds an
    architecture (None: it may take for ever); its worker is killed.

    The workers end when this process does, however it ends, and so do the processes they started.
    """

    survives = True

    def __init__(self, workers: PositiveInt = 2, timeout: float | None = None) -> None:
        require_at_least("workers of executor=processes", workers, 1)
        if timeout is not None and not 0 < timeout < float("inf"):
            raise NasplugError(
                f"timeout of executor=processes must be a positive number of seconds, got {timeout}"
            )
        self.workers = workers
        self.timeout = timeout
        self.restarts = 0
        self._team: list[Worker] = []
        self._guardian: Guardian | None = None
        self._sent: dict[int, tuple[Measure, bytes]] = {}
        self._starts, self._last_end = 0, ""

    def run(
        self, measure: Measure, trials: Sequence[Trial], preferred_batch: int
    ) -> Iterator[tuple[int, Outcome]]:
        """In the order of arrival."""
        preferred_batch = max(1, min(preferred_batch, -(-len(trials) // self.workers)))
        again: list[int] = []
        for i, outcome in self._measure(
            measure, trials, chunks(len(trials), preferred_batch), self.workers
        ):
            if outcome is None:
                again.append(i)
            else:
                yield i, outcome
        alone = [range(i, i + 1) for i in sorted(again)]
        for i, outcome in self._measure(measure, trials, alone, 1):
            how = f"{self._last_end}; out of memory, or a crash in native code"
            yield i, outcome or Failure(f"its process died ({how})")

    def _measure(
        self, measure: Measure, trials: Sequence[Trial], tasks: Sequence[range], most: int
    ) -> Iterator[tuple[int, Outcome | None]]:
        """Outcomes of `tasks`, `most` under way at once; None for those whose worker died."""
        queue, key = deque(tasks), self._key(measure) if tasks else 0
        try:
            while queue or self._busy():
                self._assign(queue, key, trials, most)
                arrived = list(self._arrived())
                self._assign(queue, key, trials, most)  # nobody waits until these are written down
                yield from arrived
        finally:  # also where whoever asked wants no more
            for worker in self._busy():
                self._drop(worker)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._team if worker.places]

    def _assign(self, queue: deque[range], key: int, trials: Sequence[Trial], most: int) -> None:
        while len(self._team) < min(most, len(queue) + len(self._busy())):
            self._start()
        alone = most == 1  # nothing else shall be at work meanwhile, such as a worker that starts
        if alone and not all(worker.idle for worker in self._team):
            return
        for worker in self._team[:most]:
            if queue and worker.idle and key not in worker.loaded:
                worker.load(key, self._sent[key][1])
            elif queue and worker.idle:
                places = queue.popleft()
                limit = (self.timeout or float("inf")) * len(places)
                worker.begin(key, [trials[i] for i in places], places, limit)

    def _arrived(self) -> Iterator[tuple[int, Outcome | None]]:
        """Waits until a worker answers, dies or takes too long."""
        left = min(worker.deadline for worker in self._team) - time.monotonic()
        spoken = wait([worker.pipe for worker in self._team], max(0.0, min(left, LOOK)))
        for worker in list(self._team):
            places = worker.places
            try:
                if worker.pipe in spoken or worker.process.exitcode is not None:
                    outcomes = worker.answer()
                    if outcomes is not None:
                        self._starts = 0
                        yield from zip(places, outcomes, strict=True)
                elif time.monotonic() > worker.deadline:
                    self._drop(worker)
                    late = Failure(f"it took longer than executor.timeout={self.timeout:g} seconds")
                    yield from ((i, late if len(places) == 1 else None) for i in places)
            except EOFError:
                self._drop(worker)
                if not places:
                    self._failed_to_start(worker)
                yield from ((i, None) for i in places)

    def _start(self) -> None:
        if self._guardian is None:
            self._guardian = Guardian()
            atexit.register(self.close)
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        self._team.append(Worker(threads, self._guardian))

    def _drop(self, worker: Worker) -> None:
        self._team.remove(worker)
        worker.end()
        self._last_end = worker.how_it_ended
        self.restarts += 1

    def _failed_to_start(self, worker: Worker) -> None:
        self._starts += 1
        if worker.process.exitcode == UNGUARDED:
            raise NasplugError(
                "with executor=processes every worker imports the script first, so what the script runs "
                'must be guarded: put `if __name__ == "__main__":` before the call of nasplug.search'
            ) from None
        if self._starts >= STARTS:
            raise NasplugError(
                f"workers of executor=processes must start, but they ended ({worker.how_it_ended}) while "
                "they imported the script and the evaluator; what they said is above. What a script "
                'runs must be behind `if __name__ == "__main__":`'
            ) from None

    def _key(self, measure: Measure) -> int:
        if id(measure) not in self._sent:
            try:
                self._sent[id(measure)] = measure, pickle.dumps(measure)
            except Exception as error:
                name, part = _unpicklable("", measure)
                raise NasplugError(
                    f"executor=processes sends the evaluator to its workers, so it must pickle, but "
                    f"{name.lstrip('.') or 'it'} is {shown(part)}: {clean(error)}. Define classes and "
                    "functions at the top of a module, or take executor=serial"
                ) from None
        return id(measure)

    def close(self) -> None:
        """Stop the workers; what is under way in them is dropped."""
        team, self._team = self._team, []
        for worker in team:
            worker.pipe.close()
        until = time.monotonic() + PATIENCE
        for worker in sorted(team, key=lambda worker: worker.idle):  # the busy are killed first
            worker.end(max(0.0, until - time.monotonic()))
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None
            atexit.unregister(self.close)


def _unpicklable(name: str, part: Any) -> tuple[str, Any]:
    """The innermost attribute or item of `part` that does not pickle, and its name."""
    inner: Mapping[str, Any] = getattr(part, "__dict__", {})
    if name.count(".") > 20:  # it holds itself
        return name, part
    if isinstance(part, Mapping):
        inner = {f"[{key!r}]": value for key, value in part.items()}
    elif isinstance(part, list | tuple):
        inner = {f"[{i}]": value for i, value in enumerate(part)}
    for key, value in inner.items():
        try:
            pickle.dumps(value)
        except Exception:
            return _unpicklable(f"{name}{key}" if key.startswith("[") else f"{name}.{key}", value)
    return name, part
