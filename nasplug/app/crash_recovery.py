"""A search in one process survives, at its second start, what ended the process at its first."""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import final

from nasplug.contracts.executor import Executor, Measure
from nasplug.contracts.types import Failure, Outcome, Trial

log = logging.getLogger("nasplug")
UNDER_WAY = "under_way.json"


@final
class CrashRecovery(Executor):
    """Wraps an executor that does not survive crashes, and notes in `folder` what is under way.

    What was under way when an earlier process ended without a word (os._exit, a crash in native code, or
    it was killed) is measured in a process of its own, so that a kill changes no result and a crash is
    a Failure. `isolating` makes the executor for it, when there is something to measure so. Where it
    makes none, or the evaluator does not pickle, what ended two processes is a Failure.
    """

    survives = True

    def __init__(
        self, executor: Executor, folder: Path, isolating: Callable[[], Executor | None]
    ) -> None:
        self.workers = executor.workers
        self._executor, self._path = executor, folder / UNDER_WAY
        self._ends = _read(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        self._longest = os.fstat(self._file).st_size
        self._own = isolating() if self._ends else None
        self._noted: dict[int, Measure] = {}

    def run(
        self, measure: Measure, trials: Sequence[Trial], preferred_batch: int
    ) -> Iterator[tuple[int, Outcome]]:
        """In the order given, if the wrapped executor does."""
        own = self._own if self._own is not None and _pickles(measure) else None
        for doubted, group in groupby(range(len(trials)), lambda i: trials[i] in self._ends):
            places = list(group)
            for some in [places] if not doubted else [[i] for i in places]:
                these = [trials[i] for i in some]
                if doubted and own is not None:
                    found = _isolated(own, measure, these)
                elif doubted and self._ends[these[0]] > 1:
                    found = iter([(0, Failure(_reason(self._ends[these[0]])))])
                else:
                    noted = self._noted.setdefault(id(measure), _Noted(measure, self._note))
                    found = self._executor.run(noted, these, preferred_batch)
                for k, outcome in found:
                    yield some[k], outcome

    def _note(self, trials: Sequence[Trial]) -> None:
        ends = [[list(trial), self._ends.get(trial, 0) + 1] for trial in trials]
        text = json.dumps(ends)
        self._longest = max(self._longest, len(text))
        os.pwrite(self._file, text.ljust(self._longest).encode(), 0)

    def close(self) -> None:
        """Nothing is under way any more."""
        if self._own is not None:
            self._own.close()
        self._executor.close()
        os.close(self._file)
        self._path.unlink(missing_ok=True)


def _isolated(
    own: Executor, measure: Measure, trials: Sequence[Trial]
) -> Iterator[tuple[int, Outcome]]:
    """`trials` measured by `own`, in another process."""
    log.info("%s, at which the last process ended, is measured in one of its own", trials[0].arch)
    before = own.restarts
    for k, outcome in own.run(measure, trials, 1):
        if isinstance(outcome, Failure) and own.restarts > before:
            hint = "; with executor=processes a search goes on after such an end"
            outcome = replace(outcome, error=outcome.error + hint)
        yield k, outcome


@final
class _Noted:
    """A measure that notes first what it is about to do; in another process it is the bare one."""

    def __init__(self, measure: Measure, note: Callable[[Sequence[Trial]], None]) -> None:
        self._measure, self._note = measure, note

    def __call__(self, trials: Sequence[Trial]) -> list[Outcome]:
        self._note(trials)
        return self._measure(trials)

    def __reduce__(self) -> tuple[Callable[[Measure], Measure], tuple[Measure]]:
        return _itself, (self._measure,)


def _itself(measure: Measure) -> Measure:
    return measure


def _read(path: Path) -> dict[Trial, int]:
    """How many processes ended while a trial was measured; nothing where it is unreadable."""
    try:
        known = json.loads(path.read_text())
        return {Trial(tuple(arch), *rest): int(ends) for (arch, *rest), ends in known}
    except (OSError, ValueError, TypeError):
        return {}


def _pickles(measure: Measure) -> bool:
    try:
        pickle.dumps(measure)
    except Exception:
        return False
    return True


def _reason(ends: int) -> str:
    return (
        f"the process ended {ends} times while it was measured (a crash in native code, or it was "
        "killed); executor=processes survives such ends, but needs an evaluator that pickles"
    )
