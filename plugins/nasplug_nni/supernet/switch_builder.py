"""Builds a network whose layer choices, input choices, depths and cells stay open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import nn

from nasplug_nni.nni3 import (
    Categorical,
    Cell,
    InputChoice,
    LayerChoice,
    Mutable,
    Repeat,
)
from nasplug_nni.space.building import patched, sampled
from nasplug_nni.space.cells import CREATE, chosen_operations
from nasplug_nni.supernet.switch_modules import (
    Selection,
    SwitchedInputs,
    SwitchedLayer,
    SwitchedRepeat,
)
from nasplug_nni.supernet.switched_cells import every_operation, switched_chosen


def build_switched(
    make: Callable[[], nn.Module],
    sample: Mapping[str, Any],
    selection: Selection,
    whole: bool,
    every: bool,
) -> nn.Module:
    """The network that `make` builds, with switches on `selection` in it.

    What is read while it is built is that of `sample`. `whole` is as in `build_network`. With
    `every`, even operations that are no switch's are there, beside the chosen one.
    """
    swaps: dict[type, dict[str, Any]] = {
        LayerChoice: {"create_fixed_module": classmethod(_layer(selection))},
        InputChoice: {"create_fixed_module": classmethod(_inputs(selection))},
        Repeat: {"create_fixed_module": classmethod(_repeat(selection, whole))},
        Cell: {"_create_modules": _cell(selection, sample, every)},
    }
    with sampled(sample), ExitStack() as stack:
        for owner, members in swaps.items():
            stack.enter_context(patched(owner, **members))
        return make()


def _layer(selection: Selection) -> Callable[..., nn.Module]:
    def create(
        cls: Any, sample: Any, candidates: Any, *, weights: Any = None, label: str | None = None
    ) -> nn.Module:
        names, modules = cls._init_names(candidates)
        choice = cls._inner_choice(names, weights, label)
        return SwitchedLayer(selection, choice.label, dict(zip(names, modules, strict=True)))

    return create


def _inputs(selection: Selection) -> Callable[..., nn.Module]:
    def create(
        cls: Any,
        sample: Any,
        n_candidates: int,
        n_chosen: int | None = 1,
        reduction: str = "sum",
        *,
        weights: Any = None,
        label: str | None = None,
    ) -> nn.Module:
        choice = cls._inner_choice(n_candidates, n_chosen, weights, label)
        return SwitchedInputs(selection, choice.label, n_chosen, reduction)

    return create


def _repeat(selection: Selection, whole: bool) -> Callable[..., nn.Module]:
    def create(
        cls: Any, sample: Any, blocks: Any, depth: Any, *, label: str | None = None
    ) -> nn.Module:
        choice = cls._canonicalize_depth(depth, label)
        if isinstance(choice, Categorical):
            built = cls._replicate_and_instantiate(blocks, max(choice.values))
            return SwitchedRepeat(selection, choice.label, built)
        wanted = choice.freeze(sample) if isinstance(choice, Mutable) else choice
        most = max(choice.grid()) if whole and isinstance(choice, Mutable) else wanted
        return nn.Sequential(*cls._replicate_and_instantiate(blocks, most)[:wanted])

    return create


def _cell(
    selection: Selection, sample: Mapping[str, Any], every: bool
) -> Callable[[Any, Any], None]:
    """A cell that concatenates all nodes switches its inputs; one of loose ends is built for them."""
    everything = every_operation(selection)
    chosen = chosen_operations(sample, partial(switched_chosen, selection))
    fixed_inputs = InputChoice.__dict__["create_fixed_module"]

    def create(cell: Any, candidates: Any) -> None:
        if cell.merge_op == "all":
            everything(cell, candidates)
        else:
            with patched(InputChoice, create_fixed_module=fixed_inputs):
                (CREATE if every else chosen)(cell, candidates)

    return create
