"""The one loop: ask, answer from the ledger what it knows, measure the rest, tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.executor import Executor
from nasplug.contracts.strategy import Problem, Strategy
from nasplug.contracts.types import Record, Trial
from nasplug.engine import signals
from nasplug.engine.ledger import Ledger
from nasplug.engine.measuring import Measuring
from nasplug.engine.safe_evaluation import SafeEvaluation

ROUNDING = 1e-9
"""Fidelities are added up; the sum of ten tenths is nearly 1."""
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
    """Search until `budget` full evaluations are made, or the strategy has no more trials.

    `strategy` is set up. Every outcome is in the ledger before anyone hears of it (`on_result`, once a
    trial, in order of arrival; the ledger's answers are not announced again).
    """
    measuring = Measuring(measure, executor)
    asked: set[Trial] = set()
    spent = 0.0
    while spent < budget:
        trials = _affordable(strategy.ask(ceil(budget - spent)), budget - spent)
        if not trials:
            return
        if len(set(trials)) < len(trials) or not asked.isdisjoint(trials):
            raise NasplugError(
                f"{type(strategy).__name__} must not ask twice for an architecture, but did"
            )
        if not measure.evaluator.partial_fidelity and any(t.fidelity != 1 for t in trials):
            raise NasplugError(
                f"{type(strategy).__name__} asks for partial evaluations, but the evaluators make full "
                "ones alone"
            )
        place = {trial: len(asked) + i for i, trial in enumerate(trials)}
        asked.update(place)  # not |= keys(), which copies the set
        spent += sum(trial.fidelity for trial in trials)
        new = [trial for trial in trials if trial not in ledger]
        with signals.watched():
            for i, outcome in measuring(new):
                record = Record(place[new[i]], new[i], outcome)
                ledger.add(record)
                on_result(record)
        strategy.tell([ledger[trial] for trial in trials])
        _stop_if_all_failed(ledger, last=spent >= budget)


def _affordable(trials: Sequence[Trial], budget: float) -> list[Trial]:
    """The first of `trials` that together cost at most `budget` full evaluations."""
    if odd := [trial for trial in trials if not isinstance(trial, Trial)]:
        raise NasplugError(
            f"`ask` must return trials, such as nasplug.Trial(arch), but got {odd[0]!r}"
        )
    costs = np.cumsum([trial.fidelity for trial in trials])
    return list(trials[: int((costs <= budget + ROUNDING).sum())])


def _stop_if_all_failed(ledger: Ledger, last: bool) -> None:
    failures = ledger.failures()
    if len(failures) == len(ledger) and (len(failures) >= MAX_INITIAL_FAILURES or last):
        raise NasplugError(
            f"all {len(failures)} architectures failed, so the search stops. The first: {failures[0]}"
        )
