"""What happens at each measurement of a search, beside the ledger: files, the live line, plug-ins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import numpy as np

from nasplug.app.checks.limits import Feasibility
from nasplug.app.run import Run
from nasplug.contracts.types import FloatArray, Record
from nasplug.plugins.discovery import plugins
from nasplug.toolkit.searching import pareto
from nasplug.toolkit.system.progress import Bar

REWRITE = 2.0
"""Seconds between two rewrites of the results while a search runs, at least."""
REFRESH = 0.2
"""Seconds between two updates of what the live line says, at least."""
SHARE = 10
"""Neither happens again before so many times what it took has passed: a tenth of the time at most."""
FIRST = 10
"""How many measurements set the scale of the hypervolume shown."""


@final
class Watcher:
    """Hears of each measurement: keeps the files fresh, the line live, and the plug-ins informed."""

    def __init__(self, run: Run, bar: Bar, budget: int, feasibility: Feasibility) -> None:
        self._run, self._bar, self._budget = run, bar, budget
        self._feasibility = feasibility
        self._standing = Standing(run)
        self._show, self._rewrite = _Pace(REFRESH), _Pace(REWRITE)
        with self._show.doing(), self._rewrite.doing():
            bar.advance(min(len(run), budget), **self._standing.fields())

    def __call__(self, record: Record) -> None:
        """`record` is in the ledger."""
        self._feasibility(record)
        plugins().hook.nasplug_measured(run=self._run, record=record)
        last = len(self._run) >= self._budget  # whose line stays, so it says how it ended
        if last or self._show.due():
            with self._show.doing():
                self._bar.advance(1, **self._standing.fields())
        else:
            self._bar.advance(1)
        if self._rewrite.due():
            with self._rewrite.doing():
                self._run.write()

    def finish(self) -> None:
        """The search is over: the line says how."""
        self._bar.advance(0, **self._standing.fields())


@final
class Standing:
    """How a search stands: the best of each objective, and the front's hypervolume.

    That of the box which the first ten finite measurements span is 1; it is not shown before there
    are as many, nor for a single objective, and it never falls: not when the run is continued
    either, since the ten are the first of the ledger.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._seen = run, 0
        self._best = np.full(len(run.problem.objectives), np.inf)
        self._first = np.zeros((0, len(self._best)))
        self._volume, self._changes = 0.0, -1

    def fields(self) -> dict[str, str]:
        """What the line says, by name; the cost is that of what came since the last call."""
        losses = self._run.losses_since(self._seen)
        losses, self._seen = losses[np.isfinite(losses).all(axis=1)], len(self._run)
        if len(losses):
            self._best = np.minimum(self._best, losses.min(axis=0))
            self._first = np.concatenate([self._first, losses])[:FIRST]
        if not len(self._first):
            return {}
        shown = {
            f"best {o.name}": f"{loss * o.sign:.4g}{'' if o.unit == '%' else ' '}{o.unit}".strip()
            for o, loss in zip(self._run.problem.objectives, self._best, strict=True)
        }
        if len(self._best) > 1 and len(self._first) == FIRST:
            shown["hypervolume"] = f"{self._hypervolume(self._first):.3f}"
        return shown

    def _hypervolume(self, first: FloatArray) -> float:
        front = self._run.measured_front()
        if front.changes != self._changes:
            low, high = pareto.bounds(first)
            volume = pareto.hypervolume(front.losses, high, low)
            self._volume, self._changes = max(self._volume, volume), front.changes
        return self._volume


@final
class _Pace:
    """Says when to do again what takes time, so that it takes a small share of it."""

    def __init__(self, pause: float) -> None:
        self.pause, self.next = pause, 0.0

    def due(self) -> bool:
        return time.monotonic() >= self.next

    @contextmanager
    def doing(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        end = time.monotonic()
        self.next = end + max(self.pause, SHARE * (end - start))
