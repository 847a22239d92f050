"""What an elastic model consists of: its variables, which layer each sets, and when layers run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np
from torch import nn

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import Architecture, BoolArray, IntArray, Variable
from nasplug.toolkit.elastic.flow import ElasticResidual, ElasticSequential
from nasplug.toolkit.elastic.layer import Count, Elastic
from nasplug.toolkit.elastic.sizes import Choice, Joined, Size, Sized

Condition = tuple[Size, int]
"""A size, and the number that it must exceed for a module to run."""


@final
@dataclass
class Part:
    """A layer, or a module without elastic ones, and in which circumstances it runs."""

    name: str
    module: nn.Module
    alternatives: list[tuple[Condition, ...]] = field(default_factory=list)
    """It runs if all conditions of any of them hold."""


@final
class Setting:
    """A size as a function of architectures."""

    def __init__(self, size: Sized, places: Mapping[str, int]) -> None:
        self.size = size
        self.parts: list[Setting] = []
        self.columns: list[int] = []
        if isinstance(size, Joined):
            self.parts = [Setting(part, places) for part in size.parts]
        elif isinstance(size, Size):
            self.columns = [places[choice.name] for choice in size.choices]
            self.table = size.table
            if len(self.columns) == 1:
                self.column = self.columns[0]
                self.options = [self.table[(i,)] for i in range(len(self.table))]

    def of(self, arch: Architecture) -> Any:
        """Its value in one architecture; of joined axes, every part's."""
        if self.parts:
            return tuple(part.of(arch) for part in self.parts)
        if not self.columns:
            return self.size
        if len(self.columns) == 1:
            return self.options[arch[self.column]]
        return self.table[tuple([arch[column] for column in self.columns])]

    def many(self, genes: IntArray) -> Count:
        """Its value in n architectures, shape (n,), or one number; of joined axes, their sum."""
        if self.parts:
            return sum(part.many(genes) for part in self.parts)
        if not self.columns:
            return int(self.size)  # type: ignore[arg-type]
        assert isinstance(self.size, Size)
        shape = [len(choice.options) for choice in self.size.choices]
        values = np.array(list(self.table.values()), np.int64).reshape(shape)
        found: IntArray = values[tuple(genes[:, column] for column in self.columns)]
        return found


@final
class Plan:
    """The design variables of a model, and what they set.

    A variable takes part where a layer that it sets runs: where a sequence is deep enough, a
    residual is active.
    """

    def __init__(self, model: nn.Module) -> None:
        found: dict[int, Part] = {}
        for name, module, conditions in _walk(model, "", ()):
            part = found.setdefault(id(module), Part(name, module))
            if conditions not in part.alternatives:
                part.alternatives.append(conditions)
        self.parts = list(found.values())

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """In the order in which the model has them, those that others depend on first."""
        choices: dict[str, Choice] = {}
        uses: dict[str, list[tuple[Condition, ...]]] = {}
        for part in self.parts:
            sizes = part.module.sizes.values() if isinstance(part.module, Elastic) else ()
            for choice in (choice for size in sizes for choice in size.choices):
                if choices.setdefault(choice.name, choice) != choice:
                    raise NasplugError(
                        f"one variable must have one list of options, but {choice.name!r} has "
                        f"{list(choices[choice.name].options)} and {list(choice.options)}"
                    )
                uses.setdefault(choice.name, []).extend(part.alternatives)
        if not choices:
            raise NasplugError("an elastic model must have a Choice in one of its elastic layers")
        ordered: dict[str, Variable] = {}

        def place(name: str, above: tuple[str, ...] = ()) -> None:
            if name in ordered:
                return
            if name in above:
                raise NasplugError(f"{name!r} must not decide whether it takes part itself")
            whens = [_when(conditions) for conditions in uses[name]]
            for other in (other for when in whens for other in when):
                place(other, (*above, name))
            distinct = [w for i, w in enumerate(whens) if w not in whens[:i]]
            ordered[name] = Variable(
                name, choices[name].options, () if {} in distinct else tuple(distinct)
            )

        for name in choices:
            place(name)
        return tuple(ordered.values())

    @cached_property
    def places(self) -> dict[str, int]:
        """The column of every variable."""
        return {variable.name: j for j, variable in enumerate(self.variables)}

    @cached_property
    def settings(self) -> list[tuple[Elastic, list[tuple[str, Setting]]]]:
        """Every layer that variables set, and its sizes."""
        return [
            (part.module, [(n, Setting(s, self.places)) for n, s in part.module.sizes.items()])
            for part in self.parts
            if isinstance(part.module, Elastic) and part.module.sizes
        ]

    def activate(self, arch: Architecture) -> None:
        """Set every layer of the model as `arch` says."""
        for layer, sizes in self.settings:
            layer.follow(**{name: setting.of(arch) for name, setting in sizes})

    def running(self, part: Part, genes: IntArray) -> BoolArray:
        """In which of n architectures a part runs, shape (n,)."""
        on = np.zeros(len(genes), bool)
        for conditions in part.alternatives:
            met = np.ones(len(genes), bool)
            for size, over in conditions:
                met &= np.asarray(Setting(size, self.places).many(genes)) > over
            on |= met
        return on


def _walk(
    module: nn.Module, name: str, conditions: tuple[Condition, ...]
) -> Iterator[tuple[str, nn.Module, tuple[Condition, ...]]]:
    """Elastic layers, and modules that hold none, each with the conditions under which it runs."""
    elastic = isinstance(module, Elastic)
    if elastic or not any(isinstance(inner, Elastic) for inner in module.modules()):
        yield name, module, conditions
        if not elastic:
            return
    elif any(tensor is not None for tensor in module._parameters.values()):
        yield name, module, conditions
    for place, (key, child) in enumerate(module.named_children()):
        more = conditions
        size: Size | None = None
        if isinstance(module, ElasticSequential):
            size, over = module.sizes.get("depth"), place
        elif isinstance(module, ElasticResidual) and key == "body":
            size, over = module.sizes.get("active"), 0
        if size is not None and min(size.table.values()) <= over:
            more = (*conditions, (size, over))
        yield from _walk(child, f"{name}.{key}" if name else key, more)


def _when(conditions: tuple[Condition, ...]) -> dict[str, tuple[Any, ...]]:
    """The conditions as a variable states them: names of others, and values that these must have."""
    when: dict[str, tuple[Any, ...]] = {}
    for size, over in conditions:
        if len(size.choices) != 1:
            names = ", ".join(choice.name for choice in size.choices)
            raise NasplugError(f"a depth must follow from one variable, but got {names or size}")
        (choice,) = size.choices
        allowed = [o for i, o in enumerate(choice.options) if size.table[(i,)] > over]
        before = when.get(choice.name, choice.options)
        when[choice.name] = tuple(o for o in before if o in allowed)
    return when
