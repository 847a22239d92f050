"""A measurement that never ends a search: what goes wrong becomes a Failure."""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import Failure, Measurement, Outcome, Trial
from nasplug.engine import signals
from nasplug.engine.evaluator_chain import EvaluatorChain
from nasplug.engine.load import OtherWork
from nasplug.engine.outcomes import plain_outcomes
from nasplug.toolkit.system.text import clean


@final
@dataclass(frozen=True)
class SafeEvaluation:
    """Measures `names` with `evaluator`, whatever happens: what goes wrong becomes a Failure.

    So does whatever the evaluator's code raises to end a process, such as SystemExit; only a signal
    (Ctrl-C) ends the search, also where that code swallows it.
    """

    evaluator: EvaluatorChain
    names: tuple[str, ...]
    alone: bool = False
    """Whether nothing else is under way meanwhile: then the load of the machine is recorded."""

    def __call__(self, trials: Sequence[Trial]) -> list[Outcome]:
        """A plain outcome with its seconds for every architecture, in order."""
        start = time.perf_counter()
        other = OtherWork() if self.alone else None
        try:
            returned = self.evaluator.evaluate(trials, self.names)
            outcomes = plain_outcomes(returned, self.names, len(trials))
        except NasplugError:
            raise  # a mistake of the user's, not of the architecture's
        except BaseException as error:
            if signals.seen():
                raise
            if len(trials) > 1:
                return [outcome for trial in trials for outcome in self([trial])]
            outcomes = [Failure(_reason(error))]
        if signals.seen():
            raise KeyboardInterrupt
        seconds = (time.perf_counter() - start) / max(len(trials), 1)
        load = other.cores() if other else None
        return [
            replace(outcome, seconds=seconds, load=load)
            if isinstance(outcome, Measurement)
            else replace(outcome, seconds=seconds)
            for outcome in outcomes
        ]


def _reason(error: BaseException) -> str:
    """Its type, its text, and where it was raised."""
    ((frame, line),) = deque(traceback.walk_tb(error.__traceback__), maxlen=1)
    place = f"{os.path.basename(frame.f_code.co_filename)}:{line}"
    return f"{type(error).__name__}: {clean(error)} ({clean(place)})"
