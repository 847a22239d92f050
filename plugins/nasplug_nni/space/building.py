"""Builds networks of nni spaces: the class is called anew, in nni's context of one sample.

nni keeps that context, and the counter behind automatic labels, in global state: one thread at a
time. Members of its classes are replaced within these contexts only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from nasplug_nni.nni3 import (
    Cell,
    Mutable,
    MutableExpression,
    ParametrizedModule,
    Repeat,
    SymbolicExpression,
    model_context,
)
from nasplug_nni.space.cells import chosen_operations

LOCK = threading.RLock()


@contextmanager
def patched(owner: type, **members: Any) -> Iterator[None]:
    """Within it `owner` has other members."""
    before = {name: owner.__dict__.get(name) for name in members}
    for name, member in members.items():
        setattr(owner, name, member)
    try:
        yield
    finally:
        for name, member in before.items():
            if member is None:
                delattr(owner, name)
            else:
                setattr(owner, name, member)


@contextmanager
def sampled(sample: Mapping[str, Any]) -> Iterator[None]:
    """Within it nni's classes build what `sample`, a valid one, says.

    Expressions of choices (widths made divisible, ..) are worked out once each: nni checks and
    evaluates them anew at every use, which takes most of the time a network of its hub takes.
    """
    known: dict[int, tuple[Any, Any]] = {}  # with the expression, so that its id stays its own

    def evaluate(self: Any, values: Any) -> Any:
        if id(self) not in known:
            arguments = [
                a.evaluate(values) if isinstance(a, SymbolicExpression) else a
                for a in self.arguments
            ]
            known[id(self)] = self, self.function(*arguments)
        return known[id(self)][1]

    with (
        LOCK,
        model_context(dict(sample)),
        patched(SymbolicExpression, evaluate=evaluate),
        patched(MutableExpression, freeze=lambda self, values: self.evaluate(values)),
    ):
        yield


def build_network(
    make: Callable[[], nn.Module], sample: Mapping[str, Any], whole: bool
) -> nn.Module:
    """The network that `make` builds for an nni `sample`, with fresh weights of its own.

    `whole` must be set where labels are automatic: nni's Repeat builds only as many blocks as are
    wanted, so that all labels that come after would be shifted, and other layers chosen, silently.
    """
    repeat: dict[str, Any] = {"create_fixed_module": classmethod(_whole_repeat)} if whole else {}
    cell: dict[str, Any] = {"_create_modules": chosen_operations(sample, _as_it_is)}
    with sampled(sample), patched(Cell, **cell), patched(Repeat, **repeat):
        network = make()
    for module in network.modules():
        if isinstance(module, ParametrizedModule) and getattr(module, "trace_args", None) is None:
            module.save_init_arguments()  # without them it cannot be printed
    return network


def automatic(labels: Mapping[str, Any]) -> bool:
    """Whether nni has numbered some of these labels itself."""
    return any(part.isdigit() for label in labels for part in label.split("/"))


def _whole_repeat(
    cls: type, sample: dict[str, Any], blocks: Any, depth: Any, *, label: str | None = None
) -> nn.Module:
    """As nni's, but the blocks beyond the depth are built too, and left out."""
    choice: Any = cls._canonicalize_depth(depth, label)  # type: ignore[attr-defined]
    most = max(choice.grid()) if isinstance(choice, Mutable) else choice
    wanted = choice.freeze(sample) if isinstance(choice, Mutable) else choice
    built = cls._replicate_and_instantiate(blocks, most)  # type: ignore[attr-defined]
    return nn.Sequential(*built[:wanted])


def _as_it_is(label: str, name: str, module: nn.Module) -> nn.Module:
    return module
