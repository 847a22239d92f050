"""What an evaluator returns becomes plain data: floats and short text, or a Failure that says why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from nasplug.contracts.types import Failure, Measurement, Outcome
from nasplug.toolkit.system.text import clean, shown


def plain_outcomes(returned: Any, names: Sequence[str], n: int) -> list[Outcome]:
    """One plain outcome an architecture; TypeError unless `returned` is a list of `n`.

    A Measurement has `names` as finite Python floats and nothing else; one that cannot is a Failure.
    """
    if not isinstance(returned, Sequence) or isinstance(returned, str | bytes):
        raise TypeError(f"evaluate must return a list of outcomes, but got {shown(returned)}")
    if len(returned) != n:
        raise TypeError(
            f"evaluate must return {n} outcomes, one an architecture, got {len(returned)}"
        )
    return [_plain(outcome, names) for outcome in returned]


def _plain(outcome: Any, names: Sequence[str]) -> Outcome:
    if isinstance(outcome, Failure):
        return Failure(clean(outcome.error), _seconds(outcome))
    try:
        if not isinstance(outcome, Measurement):
            raise TypeError(f"an outcome must be Measurement or Failure, but got {shown(outcome)}")
        values, std = outcome.values, outcome.std
        if not (isinstance(values, Mapping) and isinstance(std, Mapping)):
            raise TypeError("values and std must be mappings from metric names to numbers")
        if missing := [name for name in names if name not in values]:
            raise ValueError(
                f"{missing[0]} must be measured, but the result has {shown([*values])}"
            )
        return Measurement(
            {name: _number(name, values[name]) for name in names},
            _seconds(outcome),
            {name: _number(f"std of {name}", std[name]) for name in names if name in std},
        )
    except (TypeError, ValueError) as error:
        return Failure(clean(error))


def _number(name: str, value: Any) -> float:
    """Whatever stands for one real number, such as a NumPy scalar or a tensor of one element."""
    wrong = f"{name} must be a finite number, but got {shown(value)}"
    try:
        item = getattr(value, "item", None)  # of arrays and tensors: the Python number in them
        single = item() if callable(item) else value
        real = isinstance(single, SupportsFloat) and not isinstance(single, bool)
        number = float(single) if real else math.nan
    except Exception as error:
        raise ValueError(f"{wrong} ({type(error).__name__}: {clean(error)})") from None
    if not math.isfinite(number):
        raise ValueError(wrong)
    return number


def _seconds(outcome: Outcome) -> float:
    seconds = outcome.seconds
    return float(seconds) if isinstance(seconds, float | int) and math.isfinite(seconds) else 0.0
