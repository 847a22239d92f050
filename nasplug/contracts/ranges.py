"""What a number may be: declared where the argument is, and checked in one place for all parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """Limits of a number, for `Annotated`; None where there is none. A float is finite anyway, unless
    `finite` is False; and True and False are no numbers.

    `nasplug.make`, the command line and `nasplug.search` check it; a constructor that is called
    directly does not. The names are those of the package annotated-types, whose `Ge`, `Gt`, `Le`,
    `Lt` and `Interval` may be used as well.

    >>> def __init__(self, rate: Annotated[float, Range(gt=0, le=1)] = 0.1) -> None: ...
    """

    ge: float | None = None
    """At least."""

    gt: float | None = None
    """Above."""

    le: float | None = None
    """At most."""

    lt: float | None = None
    """Below."""

    finite: bool = True


PositiveInt = Annotated[int, Range(ge=1)]
"""Counts of what there must be one of."""

NonNegativeInt = Annotated[int, Range(ge=0)]
"""Counts, and seeds."""

PositiveFloat = Annotated[float, Range(gt=0)]
"""Durations, rates, temperatures."""

NonNegativeFloat = Annotated[float, Range(ge=0)]
"""Weights of terms, limits."""

UnitInterval = Annotated[float, Range(ge=0, le=1)]
"""Shares and probabilities."""
