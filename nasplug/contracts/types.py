"""The words that the parts exchange: plain, frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Architecture = tuple[int, ...]
"""The option index of every design variable, in the order of `SearchSpace.variables`, canonical."""

Archs = Sequence[Architecture] | npt.NDArray[np.int64]
"""Many architectures: a sequence of tuples, or an int64 array of shape (n, v)."""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Direction = Literal["minimize", "maximize"]
Condition = Mapping[str, Sequence[Any]]
"""Variable name to the option values that it must have: all entries must hold."""


@dataclass(frozen=True)
class Variable:
    """One design variable.

    `when` says in which architectures the variable takes part: always if empty; else when the
    condition holds (all of its entries), or one of several conditions. A condition names earlier
    variables, which must take part themselves.

    >>> Variable("stage1.block3.kernel", (3, 5, 7), when={"stage1.depth": (3, 4)})
    """

    name: str
    options: tuple[Any, ...]
    when: Condition | tuple[Condition, ...] = field(default=(), hash=False)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The alternatives of `when`, as a tuple; empty if the variable always takes part."""
        if isinstance(self.when, Mapping):
            return (self.when,) if self.when else ()
        return tuple(self.when)


@dataclass(frozen=True)
class Metric:
    """What a number means: its unit, and which way is better."""

    unit: str
    direction: Direction


@dataclass(frozen=True)
class Objective:
    """A metric that a search improves."""

    name: str
    unit: str
    direction: Direction

    @property
    def sign(self) -> int:
        """+1 if smaller is better, -1 if larger is: value * sign is a loss."""
        return 1 if self.direction == "minimize" else -1


@dataclass(frozen=True)
class Constraint:
    """Limits, both included, that a metric must keep; None where there is none."""

    name: str
    min: float | None = None
    max: float | None = None


class Trial(NamedTuple):
    """One measurement to make: an architecture, at a fidelity, for the `repeat`-th time.

    The same architecture at another fidelity, or measured again, is another trial.
    """

    arch: Architecture
    fidelity: float = 1.0
    """The share of a full evaluation, above 0 to 1: what the trial costs of the budget."""
    repeat: int = 0


def full_trials(archs: Archs) -> list[Trial]:
    """A full evaluation of each of `archs`, n of them or shape (n, v), in order."""
    rows = archs.tolist() if isinstance(archs, np.ndarray) else archs
    return [Trial(tuple(arch)) for arch in rows]


@dataclass(frozen=True, slots=True)  # light: predictions make them by ten thousands
class Measurement:
    """What was measured of one architecture: values in each metric's unit, and the seconds it took.

    `std` holds the uncertainty of a value where the evaluator knows one (same unit). `load`, which is
    set where times were measured, is how many cores other processes kept busy meanwhile.
    """

    values: Mapping[str, float]
    seconds: float = 0.0
    std: Mapping[str, float] = field(default_factory=dict)
    load: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why an architecture could not be measured."""

    error: str
    seconds: float = 0.0


Outcome = Measurement | Failure


class Record(NamedTuple):
    """One line of the ledger: the trial asked for at place `number`, and what came of it."""

    number: int
    trial: Trial
    outcome: Outcome

    @property
    def arch(self) -> Architecture:
        """The architecture that was measured."""
        return self.trial.arch
