"""How the value of one nni choice is written as option indices, and read from them.

A sample of nni maps the label of every choice to a value: a candidate's name or number, a depth, a
number, a list of inputs. An architecture has option indices instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Protocol

import numpy as np

from nasplug import NasplugError, Variable
from nasplug.contracts.types import Condition
from nasplug_nni.nni3 import Categorical, CategoricalMultiple, Numerical

MOST_OPTIONS = 10_000
"""Of one variable."""


class ChoiceEncoding(Protocol):
    """The design variables of one choice."""

    @property
    def label(self) -> str:
        """The choice's."""

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""

    def variables(self, when: tuple[Condition, ...]) -> tuple[Variable, ...]:
        """Its design variables, which take part on the conditions `when`."""

    def decode(self, indices: Sequence[int]) -> Any:
        """nni's value for option indices of these variables."""

    def encode(self, value: Any) -> tuple[int, ...]:
        """The option indices for a value of nni; ValueError where there are none."""


@dataclass(frozen=True)
class OneOf:
    """One of several values: one variable."""

    label: str
    values: tuple[Any, ...]

    @property
    def wanted(self) -> str:
        """One of the values."""
        return f"one of {self.values}"

    def variables(self, when: tuple[Condition, ...]) -> tuple[Variable, ...]:
        """One, whose options are the values in a form that JSON knows."""
        return (Variable(self.label, tuple(map(option, self.values)), when),)

    def decode(self, indices: Sequence[int]) -> Any:
        """The value itself; a list is a new one each time."""
        value = self.values[indices[0]]
        return list(value) if isinstance(value, list) else value

    def encode(self, value: Any) -> tuple[int, ...]:
        """The place of the equal value."""
        for i, known in enumerate(self.values):
            if _same(known, value):
                return (i,)
        raise ValueError(value)


@dataclass(frozen=True)
class SubsetOf:
    """Any number of members: a variable each, 1 where it is chosen."""

    label: str
    members: tuple[Any, ...]

    @property
    def wanted(self) -> str:
        """A list of members."""
        return f"a list of some of {self.members}"

    def variables(self, when: tuple[Condition, ...]) -> tuple[Variable, ...]:
        """`label[member]`, 0 or 1."""
        return tuple(Variable(f"{self.label}[{member}]", (0, 1), when) for member in self.members)

    def decode(self, indices: Sequence[int]) -> list[Any]:
        """The chosen members, in their order."""
        return [member for member, i in zip(self.members, indices, strict=True) if i]

    def encode(self, value: Any) -> tuple[int, ...]:
        """From the chosen members, in any order."""
        chosen = value if isinstance(value, (list, tuple)) else [value]
        if len(set(chosen)) != len(chosen) or not set(chosen) <= set(self.members):
            raise ValueError(value)
        return tuple(int(member in chosen) for member in self.members)


def option(value: Any) -> Any:
    """A value as JSON can hold it: inputs as "0+2", or 2 if it is one; else numbers, text, or repr."""
    if isinstance(value, list):
        return option(value[0]) if len(value) == 1 else "+".join(map(str, value))
    return plain(value)


def plain(value: Any) -> Any:
    """nni's value as JSON can hold it: itself, or text where it is neither number, text nor list."""
    return value if isinstance(value, (bool, int, float, str, list)) else repr(value)


def _same(known: Any, value: Any) -> bool:
    """Whether `value` is nni's `known`, or what `plain` makes of it: True is no 1, "1" is no 1."""
    if isinstance(known, list):
        members = value if isinstance(value, (list, tuple)) else [value]
        return sorted(known) == sorted(members)
    if isinstance(known, bool) != isinstance(value, bool):
        return False
    return bool(known == value or plain(known) == value)


def encoding(mutable: Any, granularity: int) -> ChoiceEncoding:
    """The encoding of a choice; numbers from a range are put on nni's grid of that granularity."""
    label = str(mutable.label)
    if isinstance(mutable, Categorical):
        return OneOf(label, tuple(mutable.values))
    if isinstance(mutable, CategoricalMultiple):
        members, chosen = tuple(mutable.values), mutable.n_chosen
        if chosen is None:
            return SubsetOf(label, members)
        if comb(len(members), chosen) > MOST_OPTIONS:
            raise NasplugError(
                f"choice {label!r} must have at most {MOST_OPTIONS} combinations, but {chosen} of "
                f"{len(members)} have {comb(len(members), chosen)}"
            )
        return OneOf(label, tuple(map(list, combinations(members, chosen))))
    if isinstance(mutable, Numerical):
        grid = (np.asarray(value).item() for value in mutable.grid(granularity=granularity))
        return OneOf(label, tuple(dict.fromkeys(grid)))
    raise NasplugError(
        f"choices must be LayerChoice, InputChoice, Repeat, Cell, nni.choice or a numerical one, but "
        f"{label!r} is {type(mutable).__name__}"
    )
