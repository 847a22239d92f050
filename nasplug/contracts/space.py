"""SearchSpace: which architectures exist, and how one becomes a network."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import product
from math import prod
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.contracts.architectures import (
    TAKE_MANY,
    TAKE_ONE,
    as_architecture,
    as_genes,
    checked,
)
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.finalizer import Finalizer
from nasplug.contracts.inputs import Inputs
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray, IntArray, Variable

if TYPE_CHECKING:
    from torch import nn

    from nasplug.contracts.supernet import SuperNetwork

ENUMERABLE = 2**21
"""Raw combinations up to which a space is enumerated."""


class SearchSpace(ABC):
    """A set of architectures, described by design variables.

    An author writes `variables`, `build` and `example_inputs`; the rest follows from the variables'
    options and their `when`. Spaces with more structure override `is_valid` (constraints between
    variables), `canonical` (different indices, same network), `costs` and `supernet`.

    Called by: strategies (`sample`, `canonical`, `features`, `costs`, `neighbours`), evaluators
    (`build`, `supernet`, `costs`), the ledger (`config`). All methods are pure: the same arguments
    give the same result, and `build` alone draws random numbers, from torch's global generator,
    which its caller seeds with `nasplug.seeded`.

    Architectures that callers hand over are checked before an author's method sees them.

    Constructor arguments are kept as attributes of the same name, so that a space can be described
    in a file and built again.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in (*TAKE_ONE, *TAKE_MANY):
            if inspect.isfunction(method := cls.__dict__.get(name)):
                setattr(cls, name, checked(name, method))

    finalizers: Sequence[Finalizer] = ()
    """What every extracted network of the space needs beside its batch-norm statistics."""

    @property
    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """The v design variables; a variable's conditions name earlier ones only."""

    @abstractmethod
    def build(self, arch: Architecture) -> nn.Module:
        """A stand-alone network of `arch` with fresh weights, in training mode, on the CPU."""

    @abstractmethod
    def example_inputs(self, batch_size: int) -> Inputs:
        """Inputs that every network of the space accepts, positional or by keywords; the first axis of
        every tensor is `batch_size`."""

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """Costs known in closed form, exact: metric name to shape (n,); `params` and `macs` if any."""
        return {}

    def is_valid(self, archs: Archs) -> BoolArray:
        """Which architectures, in canonical form, belong to the space, shape (n,)."""
        return np.ones(len(as_genes(self, archs)), bool)

    def supernet(self) -> SuperNetwork:
        """A super-network with fresh weights whose sub-networks are this space's architectures."""
        raise NasplugError(
            f"{type(self).__name__} has no super-network; measure it otherwise, e.g. evaluator=training"
        )

    # ---- what follows from the variables -------------------------------------------------------

    @cached_property
    def option_counts(self) -> IntArray:
        """How many options every variable has, shape (v,)."""
        return np.array([len(v.options) for v in self.variables], np.int64)

    @cached_property
    def _conditions(self) -> list[list[list[tuple[int, BoolArray]]]]:
        """For each variable its alternatives, each a list of (variable, allowed options mask); one
        list for all variables of the same conditions."""
        place: dict[str, int] = {}
        compiled = []
        shared: dict[str, list[list[tuple[int, BoolArray]]]] = {}
        for variable in self.variables:
            alternatives = []
            for condition in variable.conditions:
                entries = []
                for name, values in condition.items():
                    if name not in place:
                        raise NasplugError(
                            f"`when` of {variable.name!r} must name earlier variables, but got {name!r}"
                        )
                    options = self.variables[place[name]].options
                    entries.append((place[name], np.array([o in values for o in options])))
                alternatives.append(entries)
            compiled.append(shared.setdefault(repr(variable.conditions), alternatives))
            place[variable.name] = len(place)
        return compiled

    @cached_property
    def _conditional(self) -> list[tuple[IntArray, list[list[tuple[int, BoolArray]]]]]:
        """Columns of variables with the same alternatives, and these; those that steer come first."""
        together: dict[int, list[int]] = {}
        for j, alternatives in enumerate(self._conditions):
            if alternatives:
                together.setdefault(id(alternatives), []).append(j)
        return [(np.array(js), self._conditions[js[0]]) for js in together.values()]

    def active(self, archs: Archs) -> BoolArray:
        """Which variables take part in each architecture, shape (n, v)."""
        genes = as_genes(self, archs)
        on = np.ones(genes.shape, bool)
        for columns, alternatives in self._conditional:
            met: Any = False
            for entries in alternatives:
                hit: Any = True
                for i, allowed in entries:
                    hit = on[:, i] & allowed[genes[:, i]] & hit
                met = hit | met
            on[:, columns] = np.asarray(met)[:, None]
        return on

    def canonical(self, archs: Archs) -> IntArray:
        """The canonical form, shape (n, v): equal exactly for architectures of one network."""
        genes = as_genes(self, archs)
        return np.where(self.active(genes), genes, 0)

    def features(self, archs: Archs) -> FloatArray:
        """Masked one-hot for predictors, shape (n, sum of options): inactive variables are all 0."""
        genes = self.canonical(archs)
        out = np.zeros((len(genes), int(self.option_counts.sum())))
        first = np.cumsum(self.option_counts) - self.option_counts
        np.put_along_axis(out, first + genes, self.active(genes), axis=1)
        return out

    @property
    def counted_from_conditions(self) -> bool:
        """Whether the variables' conditions alone say which architectures there are, so that they
        can be counted unseen; by default, where `active`, `canonical` and `is_valid` are not overridden."""
        names = ("active", "canonical", "is_valid")
        return all(getattr(type(self), name) is getattr(SearchSpace, name) for name in names)

    @cached_property
    def size(self) -> int:
        """How many distinct architectures there are, exactly."""
        if not self.counted_from_conditions:
            return len(self.enumerate())
        return prod(self._count(part) for part in self._components())

    def _components(self) -> list[list[int]]:
        """Variables that depend on each other's values, together."""
        group = list(range(len(self.variables)))
        for j, alternatives in enumerate(self._conditions):
            for i, _ in (entry for entries in alternatives for entry in entries):
                old, new = group[j], group[i]
                group = [new if g == old else g for g in group]
        return [[j for j, g in enumerate(group) if g == k] for k in dict.fromkeys(group)]

    def _count(self, part: list[int]) -> int:
        """Distinct architectures of one component: every setting of the variables that steer others."""
        steering = {i for alts in self._conditions for entries in alts for i, _ in entries}
        steer = [j for j in part if j in steering]
        if prod(int(self.option_counts[j]) for j in steer) > ENUMERABLE:
            raise NasplugError(f"{type(self).__name__} is too entangled to count: override `size`")
        settings = list(product(*(range(int(self.option_counts[j])) for j in steer)))
        grid = np.array(settings, np.int64).reshape(len(settings), len(steer))
        genes = np.zeros((len(grid), len(self.variables)), np.int64)
        genes[:, steer] = grid
        on = self.active(genes)
        keep = (on[:, steer] | (grid == 0)).all(axis=1)
        rest = [j for j in part if j not in steering]
        patterns, times = np.unique(on[keep][:, rest], axis=0, return_counts=True)
        return sum(
            int(n) * prod(int(c) for c in self.option_counts[rest][pattern])
            for pattern, n in zip(patterns, times, strict=True)
        )

    def enumerate(self) -> IntArray:
        """Every distinct architecture, shape (size, v), in lexicographic order; small spaces only."""
        raw = prod(int(c) for c in self.option_counts)
        if raw > ENUMERABLE:
            raise NasplugError(
                f"at most {ENUMERABLE} raw combinations can be enumerated, but {type(self).__name__} "
                f"has {raw}"
            )
        genes = (
            np.indices(tuple(self.option_counts))
            .reshape(len(self.option_counts), -1)
            .T.astype(np.int64)
        )
        genes = np.unique(self.canonical(genes), axis=0)
        return genes[self.is_valid(genes)]

    def sample(
        self, n: int, rng: np.random.Generator, exclude: Collection[Architecture] = ()
    ) -> IntArray:
        """`n` distinct valid architectures outside `exclude`, shape (n, v); fewer if none are left.

        Every variable is drawn uniformly, then the whole is made canonical.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise NasplugError(f"n of sample must be a whole number of at least 0, but got {n!r}")
        if not isinstance(rng, np.random.Generator):
            raise NasplugError(
                f"rng of sample must be a generator, e.g. np.random.default_rng(0), but got {rng!r}"
            )
        seen = set(exclude)
        found: list[Architecture] = []
        for _ in range(50):
            if len(found) >= n:
                break
            draw = rng.integers(
                0, self.option_counts, (max(2 * (n - len(found)), 16), len(self.option_counts))
            )
            for arch in self.valid(draw):
                if arch not in seen and len(found) < n:
                    seen.add(arch)
                    found.append(arch)
        if len(found) < n and prod(int(c) for c in self.option_counts) <= ENUMERABLE:
            rest = [a for a in map(tuple, self.enumerate().tolist()) if a not in seen]
            found += [rest[i] for i in rng.permutation(len(rest))[: n - len(found)]]
        return np.array(found, np.int64).reshape(len(found), len(self.option_counts))

    def valid(self, archs: Archs) -> list[Architecture]:
        """The valid ones of `archs`, canonical, as tuples, in order; repeats stay."""
        genes = self.canonical(as_genes(self, archs))
        return [tuple(row) for row in genes[self.is_valid(genes)].tolist()]

    def neighbours(self, arch: Architecture) -> list[Architecture]:
        """Every other valid architecture that one change of one active variable reaches."""
        arch = as_architecture(self, arch)
        on = self.active([arch])[0]
        edits = [
            (*arch[:j], k, *arch[j + 1 :])
            for j in np.flatnonzero(on)
            for k in range(self.option_counts[j])
            if k != arch[j]
        ]
        return [a for a in dict.fromkeys(self.valid(edits)) if a != tuple(arch)]

    def config(self, arch: Architecture) -> dict[str, Any]:
        """What is chosen, in the space's own words, JSON: by default `options`. Overridden together
        with `arch`, which reads it."""
        return self.options(arch)

    def options(self, arch: Architecture) -> dict[str, Any]:
        """The active variables by name, with their values."""
        arch = as_architecture(self, arch)
        on = self.active([arch])[0]
        return {v.name: v.options[i] for v, i, a in zip(self.variables, arch, on, strict=True) if a}

    def arch(self, config: Mapping[str, Any]) -> Architecture:
        """The canonical architecture of a `config`; variables that it leaves out take their first option."""
        if not isinstance(config, Mapping):
            raise NasplugError(
                f"config must be a mapping of variables to values, e.g. {{{self.variables[0].name!r}: "
                f"{self.variables[0].options[0]!r}}}, but got {config!r}"
            )
        names = {v.name for v in self.variables}
        for name in config:
            if name not in names:
                raise unknown("design variable", name, names)
        genes = []
        for variable in self.variables:
            value = config.get(variable.name, variable.options[0])
            place = next((i for i, o in enumerate(variable.options) if _same(o, value)), None)
            if place is None:
                raise NasplugError(
                    f"{variable.name} must be one of {list(variable.options)}, but got {value!r}"
                )
            genes.append(place)
        arch: Architecture = tuple(self.canonical([tuple(genes)])[0].tolist())
        if not self.is_valid([arch])[0]:
            raise NasplugError(f"{dict(config)} is not a valid architecture of this space")
        return arch

    @property
    def smallest(self) -> Architecture:
        """Every variable at its least option (numbers), or its first."""
        return self._extreme(min, 0)

    @property
    def largest(self) -> Architecture:
        """Every variable at its greatest option (numbers), or its last."""
        return self._extreme(max, -1)

    def _extreme(self, choose: Any, default: int) -> Architecture:
        genes = [
            v.options.index(choose(v.options))
            if all(isinstance(o, Number) for o in v.options)
            else range(len(v.options))[default]
            for v in self.variables
        ]
        return tuple(self.canonical([tuple(genes)])[0].tolist())


def _same(option: Any, value: Any) -> bool:
    """Whether a value is an option; what cannot be compared, such as an array, is none."""
    try:
        return bool(option == value)
    except Exception:
        return False
