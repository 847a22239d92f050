"""The one loop: ask, answer from the ledger what it knows, measure the rest, tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.executor import Executor
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.types import Architecture, Measurement, Record
from nasplug.engine import signals
from nasplug.engine.ledger import Ledger
from nasplug.engine.measuring import Measuring
from nasplug.engine.safe_evaluation import SafeEvaluation

MAX_INITIAL_FAILURES = 10
"""A search stops if so many architectures were tried and every one failed."""


def loop(
    strategy: Strategy,
    problem: Problem,
    ledger: Ledger,
    measure: SafeEvaluation,
    executor: Executor,
    budget: int,
    on_result: Callable[[Record], None],
) -> None:
    """Search until `budget` distinct architectures are measured, or the strategy has no more.

    `strategy` is set up. Every outcome is in the ledger before anyone hears of it (`on_result`, once a
    measured architecture, in order of arrival; the ledger's answers are not announced again).
    """
    measuring = Measuring(measure, executor)
    asked: set[Architecture] = set()
    while len(asked) < budget:
        archs = list(strategy.ask(budget - len(asked)))[: budget - len(asked)]
        if not archs:
            return
        if len(set(archs)) < len(archs) or not asked.isdisjoint(archs):
            raise NasplugError(
                f"{type(strategy).__name__} must not ask twice for an architecture, but did"
            )
        place = {arch: len(asked) + i for i, arch in enumerate(archs)}
        asked.update(place)  # not |= keys(), which copies the set
        new = [arch for arch in archs if arch not in ledger]
        with signals.watched():
            for i, outcome in measuring(new):
                record = Record(place[new[i]], new[i], outcome)
                ledger.add(record)
                on_result(record)
        strategy.tell(archs, values(problem, [ledger[arch] for arch in archs]))
        _stop_if_all_failed(ledger, last=len(asked) >= budget)


def values(problem: Problem, records: list[Record]) -> np.ndarray:
    """What a strategy is told: shape (n, len(problem.metrics)), NaN rows for failures."""
    rows = np.full((len(records), len(problem.metrics)), np.nan)
    for row, record in zip(rows, records, strict=True):
        if isinstance(record.outcome, Measurement):
            row[:] = [record.outcome.values[name] for name in problem.metrics]
    return rows


def _stop_if_all_failed(ledger: Ledger, last: bool) -> None:
    failures = ledger.failures()
    if len(failures) == len(ledger) and (len(failures) >= MAX_INITIAL_FAILURES or last):
        raise NasplugError(
            f"all {len(failures)} architectures failed, so the search stops. The first: {failures[0]}"
        )
