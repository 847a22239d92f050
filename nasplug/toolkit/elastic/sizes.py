"""Sizes that design variables decide: what an elastic layer is given in place of a number.

A size is also the name of an axis: layers that are given equal sizes (the same choice, or the same
formula of the same choices) have a common axis there, whose channels are sorted together.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, final

from nasplug.contracts.errors import NasplugError

Width = int | tuple[int, ...]
"""A number of channels; of an axis that is joined from several, theirs."""

LARGEST_TABLE = 2**16
"""Combinations of options up to which a size is tabulated."""


class Size(ABC):
    """A number that follows from the values of some design variables.

    Sizes are added, multiplied and divided (`//`) with numbers and with each other.
    """

    @property
    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """The variables that it depends on, each once."""

    @abstractmethod
    def value(self, chosen: Mapping[str, Any]) -> Any:
        """The number for the values of the variables, by name."""

    def __add__(self, other: Sized) -> Size:
        return Derived(operator.add, (self, other))

    def __radd__(self, other: int) -> Size:
        return Derived(operator.add, (other, self))

    def __mul__(self, other: Sized) -> Size:
        return Derived(operator.mul, (self, other))

    def __rmul__(self, other: int) -> Size:
        return Derived(operator.mul, (other, self))

    def __floordiv__(self, other: Sized) -> Size:
        return Derived(operator.floordiv, (self, other))

    @cached_property
    def table(self) -> dict[tuple[int, ...], Any]:
        """Its value for every combination of options, by their indices in the order of `choices`."""
        counts = [range(len(choice.options)) for choice in self.choices]
        combinations = 1
        for count in counts:
            combinations *= len(count)
        if combinations > LARGEST_TABLE:
            raise NasplugError(
                f"a size must follow from few variables, at most {LARGEST_TABLE} combinations of their "
                f"options, but got {combinations}: {', '.join(c.name for c in self.choices)}"
            )
        return {
            key: self.value({c.name: c.options[i] for c, i in zip(self.choices, key, strict=True)})
            for key in product(*counts)
        }


Sized = int | Size
"""A number, or what variables decide."""


@final
@dataclass(frozen=True)
class Choice(Size):
    """A design variable of the model: its name, and the values among which a search chooses.

    >>> width = Choice("stage1.width", (16, 24, 32))
    >>> ElasticConv2d(3, width, 3)
    """

    name: str
    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options or len(set(map(repr, self.options))) < len(self.options):
            raise NasplugError(
                f"the options of {self.name} must be distinct and at least one, but got {self.options}"
            )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Itself."""
        return (self,)

    def value(self, chosen: Mapping[str, Any]) -> Any:
        """What was chosen."""
        return chosen[self.name]


@final
@dataclass(frozen=True)
class Derived(Size):
    """A function of other sizes.

    >>> Derived(lambda w, e: make_divisible(w * e), (width, expand))

    Where two layers are to have it in common, give both the same object, or the same function.
    """

    function: Callable[..., Any]
    operands: tuple[Any, ...]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Those of its operands."""
        return _union(self.operands)

    def value(self, chosen: Mapping[str, Any]) -> Any:
        """The function of the operands' values."""
        return self.function(*(_value(operand, chosen) for operand in self.operands))


@final
@dataclass(frozen=True)
class Repeated(Size):
    """`times` entries of every channel, next to each other: see `flatten`."""

    size: Size
    times: int

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Those of the channels."""
        return self.size.choices

    def value(self, chosen: Mapping[str, Any]) -> Any:
        """All entries."""
        return self.size.value(chosen) * self.times


@final
@dataclass(frozen=True)
class Joined(Size):
    """Several axes one after the other: see `concat`."""

    parts: tuple[Sized, ...]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Those of all parts."""
        return _union(self.parts)

    def value(self, chosen: Mapping[str, Any]) -> tuple[int, ...]:
        """Each part's."""
        return tuple(_value(part, chosen) for part in self.parts)


@final
@dataclass(frozen=True, eq=False)
class Own(Size):
    """An axis that no other has in common, though its size be the same: equal to itself alone.

    Layers that hold both sides of an axis, such as an MLP's inner one, make one. `sortable=False`
    keeps the order of its channels.
    """

    size: Sized
    sortable: bool = True

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Those of the size."""
        return _union((self.size,))

    def value(self, chosen: Mapping[str, Any]) -> Any:
        """That of the size."""
        return _value(self.size, chosen)


def concat(*parts: Sized) -> Joined:
    """The size of `torch.cat` of tensors along an axis: each part keeps its own columns of a weight.

    >>> ElasticLinear(concat(users, items), hidden)
    """
    for part in parts:
        if isinstance(part, Joined):
            raise NasplugError("concat must join plain sizes, but got one that is joined already")
    return Joined(parts)


def flatten(size: Sized, times: int) -> Sized:
    """The size of a flattened (channels, ..) tensor, with `times` entries for every channel.

    >>> nn.Sequential(nn.Flatten(), ElasticLinear(flatten(width, 7 * 7), 10))
    """
    return size * times if isinstance(size, int) else Repeated(size, times)


def full(size: Sized) -> Width:
    """The greatest number that the size takes; for joined axes, each part's."""
    if isinstance(size, int):
        return size
    if isinstance(size, Joined):
        return tuple(_total(full(part)) for part in size.parts)
    return int(max(size.table.values()))


def total(size: Sized) -> int:
    """The greatest number of channels, those of joined axes together."""
    return _total(full(size))


def _total(width: Width) -> int:
    return sum(width) if isinstance(width, tuple) else width


def _value(size: Any, chosen: Mapping[str, Any]) -> Any:
    return size.value(chosen) if isinstance(size, Size) else size


def _union(sizes: tuple[Any, ...]) -> tuple[Choice, ...]:
    return tuple(dict.fromkeys(c for s in sizes if isinstance(s, Size) for c in s.choices))
