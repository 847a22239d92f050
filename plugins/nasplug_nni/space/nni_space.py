"""A search space from any model space of nni 3."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nasplug import Architecture, NasplugError, PositiveInt, SearchSpace, Variable, unknown
from nasplug.contracts.types import Archs, BoolArray, IntArray
from nasplug_nni.nni3 import NasBench101Cell
from nasplug_nni.space.building import automatic, build_network
from nasplug_nni.space.choice_conditions import ChoiceConditions
from nasplug_nni.space.choice_encoding import ChoiceEncoding, encoding, plain
from nasplug_nni.space.hub_fit import fit_to_task, is_of_hub
from nasplug_nni.space.loading import arguments, find, template
from nasplug_nni.space.nasbench101_pruning import pruned
from nasplug_nni.space.published_architectures import published_architecture
from nasplug_nni.supernet.nni_supernet import NniSuperNetwork

REMEMBERED = 100_000
"""Architectures of which it is remembered whether they are valid, and what remains of them."""


@final
class NniSpace(SearchSpace):
    """The networks that an nni `ModelSpace` holds.

    Every choice is a design variable under its label: LayerChoice, InputChoice with k inputs, Repeat,
    nni.choice and numbers (on a grid) one each; InputChoice with any number of inputs, one of two
    options for every input. A choice takes part where its module does; nni's constraints say what is
    valid. Networks are built by calling the class anew for one sample, so that nothing is shared.

    >>> NniSpace("nni.nas.hub.pytorch.DARTS", {"width": 8, "num_cells": 3, "dataset": "cifar"})
    """

    def __init__(
        self,
        model: Any,
        args: Mapping[str, Any] | None = None,
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        input_shape: Sequence[PositiveInt] | None = None,
        granularity: PositiveInt = 3,
    ) -> None:
        """`model` is "package.module.Class", the class, or an instance; `args` are its arguments.

        `num_classes`, `in_channels` and `image_size` go to constructors that have arguments for them
        (also called num_labels, in_chans, img_size, ..); networks of nni's hub are made to fit.
        `input_shape` is one example's; by default (in_channels, image_size, image_size).
        `granularity` is nni's, of the grid on which numbers from a range are put: 2 ** granularity
        quantiles or so.
        """
        kind, own = find(model)
        self.model = f"{kind.__module__}.{kind.__qualname__}"
        self.args = {**own, **(args or {})}
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self.input_shape = input_shape
        self.granularity = granularity
        self._kind = kind
        dims = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        self._arguments = arguments(kind, self.args, dims)
        self.template = template(kind, self._arguments)
        self._choice_conditions = ChoiceConditions(self.template)
        if not self.variables:
            raise NasplugError(f"{self.model} must have choices, but has none")

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes build their own."""
        names = (
            "args",
            "num_classes",
            "in_channels",
            "image_size",
            "input_shape",
            "granularity",
        )
        return type(self), (self._kind, *(getattr(self, name) for name in names))

    # ---- what may be chosen ------------------------------------------------------------------------

    @cached_property
    def encodings(self) -> tuple[ChoiceEncoding, ...]:
        """The choices, in the order of their variables."""
        choices = self._choice_conditions.choices
        return tuple(
            encoding(choices[label], self.granularity) for label in self._choice_conditions.order()
        )

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """One for every choice, or for every input of an InputChoice of any number."""
        conditions = self._choice_conditions
        return tuple(v for one in self.encodings for v in one.variables(conditions.when(one.label)))

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where each label's variables stand in an architecture."""
        places, start = {}, 0
        for one in self.encodings:
            stop = start + len(one.variables(()))
            places[one.label] = slice(start, stop)
            start = stop
        return places

    @cached_property
    def switchable(self) -> set[str]:
        """The labels that a network can switch as it runs; the others are read as it is built."""
        return self._choice_conditions.switchable

    @cached_property
    def _cells(self) -> list[NasBench101Cell]:
        cells = [m for m in self.template.modules() if isinstance(m, NasBench101Cell)]
        return list({cell.label: cell for cell in cells}.values())

    def is_valid(self, archs: Archs) -> BoolArray:
        """Whether nni's constraints hold."""
        if not self._choice_conditions.constraints:
            return np.ones(len(archs), bool)
        return np.array([self._keeps(arch) for arch in _tuples(archs)], bool)

    @cached_property
    def _keeps(self) -> Callable[[Architecture], bool]:
        @lru_cache(REMEMBERED)
        def keeps(arch: Architecture) -> bool:
            return self._choice_conditions.keeps(self.to_nni(arch))

        return keeps

    def canonical(self, archs: Archs) -> IntArray:
        """Inactive variables at 0; cells of NAS-Bench-101 without the nodes that lead nowhere."""
        genes = super().canonical(archs)
        if not self._cells:
            return genes
        rows = [self._pruned(arch) for arch in _tuples(genes)]
        return super().canonical(np.array(rows, np.int64).reshape(genes.shape))

    @cached_property
    def _pruned(self) -> Callable[[Architecture], Architecture]:
        @lru_cache(REMEMBERED)
        def prune(arch: Architecture) -> Architecture:
            for cell in self._cells:
                if (sample := pruned(cell, self.to_nni(arch))) is not None:
                    arch = self._encode(sample)
            return arch

        return prune

    @property
    def regular(self) -> bool:
        """Whether there is no constraint."""
        return not self._choice_conditions.constraints

    # ---- nni's samples -----------------------------------------------------------------------------

    def to_nni(self, arch: Architecture) -> dict[str, Any]:
        """The sample of nni: label to value, with first values where a choice takes no part."""
        return {one.label: one.decode(arch[self.places[one.label]]) for one in self.encodings}

    def from_nni(self, sample: Mapping[str, Any]) -> Architecture:
        """The architecture of a sample of nni; choices that take no part may be missing.

        An InputChoice of one may be a bare number. Other keys are ignored.
        """
        genes = self._encode(sample)
        on = self.active([genes])[0]
        for one in self.encodings:
            if on[self.places[one.label]].any() and one.label not in sample:
                raise NasplugError(f"the sample must have a value for {one.label!r}, but has none")
        return self._settled(genes, sample)

    def config(self, arch: Architecture) -> dict[str, Any]:
        """nni's sample, of the choices that take part; text where JSON cannot hold a value."""
        on = self.active([arch])[0]
        sample = self.to_nni(arch)
        return {label: plain(sample[label]) for label, at in self.places.items() if on[at].any()}

    def arch(self, config: Mapping[str, Any]) -> Architecture:
        """The architecture of a `config`; choices that it leaves out take their first value."""
        for label in config:
            if label not in self.places:
                raise unknown("choice", label, self.places)
        return self._settled(self._encode(config), config)

    def _settled(self, genes: tuple[int, ...], sample: Mapping[str, Any]) -> Architecture:
        arch: Architecture = tuple(self.canonical([genes])[0].tolist())
        if not self.is_valid([arch])[0]:
            raise NasplugError(
                f"the sample must keep the constraints of {self.model}: {dict(sample)}"
            )
        return arch

    def _encode(self, sample: Mapping[str, Any]) -> tuple[int, ...]:
        genes: list[int] = []
        for one in self.encodings:
            if one.label not in sample:
                genes += [0] * len(one.variables(()))
                continue
            try:
                genes += one.encode(sample[one.label])
            except (ValueError, TypeError):
                raise NasplugError(
                    f"choice {one.label!r} must be {one.wanted}, but got {sample[one.label]!r}"
                ) from None
        return tuple(genes)

    def published_architecture(self, name: str) -> Architecture:
        """The published architecture that nni calls `name`, e.g. "darts-v2", without weights."""
        return published_architecture(self, name)

    # ---- networks ----------------------------------------------------------------------------------

    @cached_property
    def make(self) -> Callable[[], nn.Module]:
        """Calls the class; what comes out depends on nni's context."""
        return partial(_make, self._kind, self._arguments, self.in_channels, self.num_classes)

    @property
    def automatic(self) -> bool:
        """Whether nni numbers labels of this space itself."""
        return automatic(self._choice_conditions.choices)

    def build(self, arch: Architecture) -> nn.Module:
        """The network of nni for one sample, all weights fresh and its own."""
        return build_network(self.make, self.to_nni(arch), self.automatic)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Standard normal numbers, shape (batch_size, *input_shape), always the same."""
        size = 224 if self.image_size is None else self.image_size
        channels = 3 if self.in_channels is None else self.in_channels
        shape = self.input_shape or (channels, size, size)
        generator = torch.Generator().manual_seed(0)
        return (torch.randn(batch_size, *shape, generator=generator),)

    def supernet(self) -> NniSuperNetwork:
        """All networks of this space in one set of weights."""
        if self._cells:
            raise NasplugError(
                f"{self.model} has no super-network: the widths of a NAS-Bench-101 cell follow from its "
                "whole graph; measure it otherwise, e.g. evaluator=training"
            )
        return NniSuperNetwork(self)


def _tuples(archs: Archs) -> list[Architecture]:
    return [tuple(row) for row in np.asarray(archs, np.int64).tolist()]


def _make(
    kind: type[nn.Module],
    arguments: Mapping[str, Any],
    in_channels: int | None,
    num_classes: int | None,
) -> nn.Module:
    network = kind(**copy.deepcopy(dict(arguments)))
    return fit_to_task(network, in_channels, num_classes) if is_of_hub(kind) else network
