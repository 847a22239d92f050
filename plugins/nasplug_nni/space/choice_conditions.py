"""When a choice takes part, read from the tree of modules that holds it.

A choice inside a LayerChoice's candidate takes part when the candidate is chosen; one inside the
i-th block of a Repeat, when the depth exceeds i. A label met at several places takes part when any
of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import singledispatch
from itertools import product
from typing import Any, final

from torch import nn

from nasplug import NasplugError
from nasplug_nni.nni3 import (
    Categorical,
    Cell,
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableAnnotation,
    MutableModule,
    NasBench101Cell,
    Repeat,
)
from nasplug_nni.space.choice_encoding import option

Path = Mapping[str, frozenset[Any]]
"""Labels of the choices above a place, each with the values that lead to it."""


@final
class ChoiceConditions:
    """What a walk through a space finds.

    `choices` holds every choice by label, `constraints` what must hold among them; `paths` the places
    where each is met; `switchable` the labels that do nothing but choose among layers, inputs or
    depths, which a network can do as it runs.
    """

    def __init__(self, space: ModelSpace) -> None:
        self.choices: dict[str, Any] = {}
        self.constraints: dict[str, Any] = {}
        self.paths: dict[str, list[Path]] = {}
        self.read_while_building: set[str] = set()
        walk(space, self, {})
        for label, mutable in space.simplify().items():
            if label not in self.paths:
                self.meet(mutable, {}, switch=False)

    @property
    def switchable(self) -> set[str]:
        """The labels that nothing reads while a network is built."""
        return set(self.choices) - self.read_while_building

    def meet(self, mutable: Any, path: Path, switch: bool) -> None:
        """Note the choices in `mutable`, met at `path`; `switch` says that it only chooses."""
        if isinstance(mutable, MutableAnnotation):  # its choices are met where they are used
            self.constraints.setdefault(mutable.label, mutable)
            self.paths.setdefault(mutable.label, []).append(path)
            return
        for label, found in mutable.simplify().items():
            self.choices.setdefault(label, found)
            self.paths.setdefault(label, []).append(path)
            if not switch:
                self.read_while_building.add(label)

    def keeps(self, sample: dict[str, Any]) -> bool:
        """Whether a sample of nni keeps the constraints of the modules that it chooses."""
        return all(
            constraint.check_contains(dict(sample)) is None  # to which it adds what it finds
            for label, constraint in self.constraints.items()
            if any(all(sample[n] in v for n, v in p.items()) for p in self.paths[label])
        )

    def when(self, label: str) -> tuple[dict[str, tuple[Any, ...]], ...]:
        """When the choice takes part, as `Variable.when` has it: the weakest paths; () for always."""
        paths: list[Path] = []
        for met in self.paths[label]:
            path = {name: values for name, values in met.items() if not self._all(name, values)}
            if not any(_implies(path, other) for other in paths):
                paths = [other for other in paths if not _implies(other, path)] + [path]
        if any(not path for path in paths):
            return ()
        return tuple(
            {
                name: tuple(option(v) for v in self.choices[name].values if v in values)
                for name, values in path.items()
            }
            for path in paths
        )

    def _all(self, label: str, values: frozenset[Any]) -> bool:
        return values >= set(self.choices[label].values) and self.when(label) == ()

    def order(self) -> list[str]:
        """The labels as they are met, but each after those that its conditions name."""
        order: list[str] = []

        def put(label: str, below: tuple[str, ...]) -> None:
            if label in below:
                raise NasplugError(
                    f"choices must not contain each other, but these do: {', '.join(below)}"
                )
            if label not in order:
                for name in dict.fromkeys(name for path in self.paths[label] for name in path):
                    put(name, (*below, label))
                order.append(label)

        for label in self.choices:
            put(label, ())
        return order


def _implies(path: Path, other: Path) -> bool:
    return all(name in path and path[name] <= values for name, values in other.items())


def _and(path: Path, label: str, values: Iterable[Any]) -> Path:
    allowed = frozenset(values)
    return {**path, label: path.get(label, allowed) & allowed}


@singledispatch
def walk(module: nn.Module, found: ChoiceConditions, path: Path) -> None:
    """Meet every choice in `module`, which stands at `path`."""
    if isinstance(module, MutableModule):
        for mutable in module.mutables:
            found.meet(mutable, path, switch=False)
    for child in module.children():
        walk(child, found, path)


@walk.register
def _(module: LayerChoice, found: ChoiceConditions, path: Path) -> None:
    found.meet(module.choice, path, switch=True)
    for name in module.names:
        walk(module[name], found, _and(path, module.choice.label, [name]))


@walk.register
def _(module: InputChoice, found: ChoiceConditions, path: Path) -> None:
    found.meet(module.choice, path, switch=True)


@walk.register
def _(module: Cell, found: ChoiceConditions, path: Path) -> None:
    """Which nodes are loose ends depends on the inputs, and with it the width of what follows."""
    switch = module.merge_op == "all"
    for kind in (module.inputs, module.ops):
        for choice in (choice for node in kind for choice in node):
            found.meet(choice.choice, path, switch=switch)
    for child in (module.preprocessor, module.ops, module.postprocessor):
        if isinstance(child, nn.Module):
            walk(child, found, path)


@walk.register
def _(module: Repeat, found: ChoiceConditions, path: Path) -> None:
    depth = module.depth_choice
    if isinstance(depth, int):
        for block in module.blocks[:depth]:
            walk(block, found, path)
        return
    found.meet(depth, path, switch=isinstance(depth, Categorical))
    labels = {label: leaf.values for label, leaf in depth.simplify().items()}
    settings = [dict(zip(labels, values, strict=True)) for values in product(*labels.values())]
    for i, block in enumerate(module.blocks):
        reaching = [setting for setting in settings if depth.freeze(setting) > i]
        if len(labels) == 1:
            (label,) = labels
            walk(block, found, _and(path, label, [setting[label] for setting in reaching]))
            continue
        for setting in reaching:
            below = path
            for label, value in setting.items():
                below = _and(below, label, [value])
            walk(block, found, below)


@walk.register
def _(module: NasBench101Cell, found: ChoiceConditions, path: Path) -> None:
    nodes = module.num_nodes
    found.meet(nodes, path, switch=False)
    for kind, spare in ((module.ops, 1), (module.inputs, 0)):
        for i, choice in enumerate(kind):
            if i:
                reaching = [n for n in nodes.values if n > i + spare]
                found.meet(choice.choice, _and(path, nodes.label, reaching), switch=False)
    found.meet(module.constraint, path, switch=False)
