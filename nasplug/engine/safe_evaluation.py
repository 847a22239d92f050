"""A measurement that never ends a search: what goes wrong becomes a Failure."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.types import Architecture, Failure, Measurement, Outcome


@final
@dataclass(frozen=True)
class SafeEvaluation:
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
