"""Part of a search space: the variables held to some of their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from numbers import Number
from typing import Any, final

import numpy as np

from nasplug import Architecture, NasplugError, SearchSpace

DRAWS = 1000


@final
class Subspace:
    """The architectures of `space` whose variables keep to `options`.

    `options` maps a pattern of variable names (`fnmatch`) to the values allowed, or to a number n:
    the n greatest. Where several patterns match a name, the last holds; variables that none
    matches keep all their options.

    >>> Subspace(space, {"*.kernel": [7], "*.depth": 2})
    """

    def __init__(
        self, space: SearchSpace, options: Mapping[str, Sequence[Any] | int] | None = None
    ) -> None:
        self.space = space
        self.allowed = [_ascending(v.options, range(len(v.options))) for v in space.variables]
        for pattern, values in (options or {}).items():
            places = [j for j, v in enumerate(space.variables) if fnmatchcase(v.name, pattern)]
            if not places:
                names = ", ".join(v.name for v in space.variables[:6])
                raise NasplugError(
                    f"a pattern of a phase's options must match a design variable, but {pattern!r} "
                    f"matches none of {names}, .."
                )
            for j in places:
                self.allowed[j] = _select(
                    space.variables[j].name, space.variables[j].options, values
                )

    @cached_property
    def largest(self) -> Architecture:
        """Every variable at its greatest allowed option."""
        return self._at(lambda n: n - 1)

    @cached_property
    def middle(self) -> Architecture:
        """Every variable at the middle one."""
        return self._at(lambda n: n // 2)

    @cached_property
    def smallest(self) -> Architecture:
        """Every variable at the least."""
        return self._at(lambda n: 0)

    def sample(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """`n` valid architectures, every variable drawn uniformly; the same may come again."""
        found: list[Architecture] = []
        for _ in range(DRAWS):
            if len(found) >= n:
                return found[:n]
            found += self.space.valid(
                np.stack([rng.choice(allowed, n) for allowed in self.allowed], axis=1)
            )
        raise NasplugError(
            f"a phase must allow valid architectures, but {DRAWS * n} draws gave {len(found)}"
        )

    def _at(self, place: Any) -> Architecture:
        arch = [allowed[place(len(allowed))] for allowed in self.allowed]
        return tuple(self.space.canonical([tuple(arch)])[0].tolist())


def _ascending(options: Sequence[Any], places: Sequence[int]) -> list[int]:
    """Option indices by value where all are numbers, else in their own order."""
    numbers = all(isinstance(option, Number) for option in options)
    return sorted(places, key=lambda k: options[k]) if numbers else sorted(places)


def _select(name: str, options: Sequence[Any], values: Sequence[Any] | int) -> list[int]:
    everything = _ascending(options, range(len(options)))
    if isinstance(values, int):
        if not 1 <= values <= len(options):
            raise NasplugError(
                f"{name} has {len(options)} options, so a phase allows 1 to {len(options)}, not {values}"
            )
        return everything[-values:]
    if not values or any(value not in options for value in values):
        raise NasplugError(f"a phase must allow {name} some of {list(options)}, but got {values!r}")
    return [k for k in everything if options[k] in values]
