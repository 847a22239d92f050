"""What every elastic layer is: a plain torch layer that runs on a part of its weights."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import IntArray
from nasplug.toolkit.elastic.sizes import Size, Sized, Width, full

Count = int | IntArray
"""A number, or one an architecture, shape (n,)."""

Cut = tuple[Any, ...]
"""For the leading axes of a tensor the slice that is active, or, for joined axes, a tuple of slices;
further axes are whole."""

Axes = tuple[tuple[str, tuple[str | None, ...]], ...]
"""For tensors, by name, which size every axis has; None: it is always whole."""

CENTRED = "kernel_size"
"""The size whose active part is the centre of the axis, not its beginning."""


class Elastic(nn.Module, ABC):
    """A plain layer, its weights under torch's own names, of which a part is used at a time.

    A concrete class is also the plain layer: an `ElasticLinear` is an `nn.Linear` of the full size,
    so that initialisation, optimisers and published state dicts treat it as one. Its constructor
    takes a number or a `Size` for what is elastic.

    Call `activate(..)` before forward: it takes the sizes by keyword, an omitted one is full. It
    moves nothing and copies nothing. `extract()` gives the active part as a plain layer. Forward
    equals the extracted layer's, and only the active part gets gradients.

    An author sets `KIND` (the plain class) and `AXES`, and writes `activate` and `forward`.
    """

    KIND: ClassVar[type[nn.Module]]
    """What `extract` gives."""

    AXES: ClassVar[Axes] = ()
    """Parameters and buffers that are sliced: weights and biases of the plain layer."""

    READS: ClassVar[frozenset[str]] = frozenset()
    """Sizes along which the layer reads channels: their importance is the L1 norm of what reads them."""

    axes: Axes
    sizes: dict[str, Size]
    """The sizes that variables decide."""
    full: tuple[tuple[str, Width], ...]
    cuts: Mapping[str, Cut] | None
    """The active part of every tensor; None where all of it is, which saves a graph node."""
    joined: bool
    """Whether a size is that of joined axes."""
    plain: frozenset[str]
    """The attributes of the plain layer."""

    def declare(self, **sizes: Sized) -> None:
        """Say what is elastic: called once, after the plain layer's constructor."""
        self.plain = frozenset(vars(self))
        self.axes = self.AXES
        self.sizes = {name: size for name, size in sizes.items() if isinstance(size, Size)}
        self.full = tuple((name, full(size)) for name, size in sizes.items())
        self.joined = any(isinstance(width, tuple) for _, width in self.full)
        self.cuts = None

    def follow(self, **sizes: Any) -> None:
        """Set the sizes that variables decide; children that are elastic are set on their own."""
        activate: Any = getattr(self, "activate")  # noqa: B009  (each class has arguments of its own)
        activate(**sizes)

    def cut(self, *active: Width | None) -> None:
        """Use parts of these sizes, in the order in which they were declared; None: all of it."""
        self.cuts = _cuts(self.axes, self.full, active)

    def part(self, name: str) -> Any:
        """The active part of a parameter or buffer; None where the layer has none of that name."""
        tensor = getattr(self, name)
        if self.cuts is None or tensor is None:
            return tensor
        cut = self.cuts[name]
        if self.joined:
            return _join(tensor, cut)
        return tensor[cut] if cut else tensor

    def parts(self) -> dict[str, Tensor]:
        """The active part of every tensor of the plain layer."""
        own = {**self._parameters, **self._buffers}
        sliced = {name for name, _ in self.axes}
        return {
            name: self.part(name) if name in sliced else tensor
            for name, tensor in own.items()
            if tensor is not None
        }

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """The plain layer's attributes that follow the active sizes: by default those of `axes`."""
        return {
            size: parts[name].shape[axis]
            for name, axes in self.axes
            if name in parts
            for axis, size in enumerate(axes)
            if size is not None
        }

    def extract(self, ties: Ties | None = None) -> nn.Module:
        """The active part as a plain layer with weights of its own.

        `ties` holds what was extracted already, so that weights that layers share stay shared.
        """
        parts = self.parts()
        new = copy_with_tensors(self, parts, self.KIND, ties, **self.attributes(parts))
        for name, child in self._modules.items():
            if child is not None:
                new._modules[name] = extract(child, ties)
        return new

    def positions(self, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> int:
        """How often a forward pass, its arguments and result given, applies the weights; 0 where it
        multiplies nothing by them."""
        return 0

    def macs(self, sizes: Mapping[str, Count], positions: int) -> Count:
        """Multiply-adds for active sizes, numbers or shape (n,), by default those of `weight`."""
        return self.numel("weight", sizes) * positions if positions else 0

    def numel(self, name: str, sizes: Mapping[str, Count]) -> Count:
        """Entries of the active part of a tensor, for active sizes."""
        shape = getattr(self, name).shape
        count: Count = 1
        for axis, size in enumerate(dict(self.axes)[name]):
            count = count * (shape[axis] if size is None else sizes[size])
        return count


def is_tracing() -> bool:
    """Whether TorchScript traces the network, to count or to convert it."""
    jit: Any = torch.jit
    return bool(jit.is_tracing())


class Ties:
    """The parameters made so far by one extraction, by where they come from."""

    def __init__(self) -> None:
        self._made: dict[int, list[tuple[Tensor, Cut | None, nn.Parameter]]] = {}

    def parameter(self, source: nn.Parameter, cut: Cut | None, active: Tensor) -> nn.Parameter:
        """A copy of `active`, the part of `source` that `cut` says; the same for the same part."""
        made = self._made.setdefault(id(source), [])
        for _, other, parameter in made:
            if other == cut and parameter.shape == active.shape:
                return parameter
        new = nn.Parameter(active.detach().clone(), requires_grad=source.requires_grad)
        made.append((source, cut, new))
        return new


def extract(module: nn.Module, ties: Ties | None = None) -> nn.Module:
    """A stand-alone copy of `module` in which every elastic layer is its active part."""
    ties = Ties() if ties is None else ties
    if isinstance(module, Elastic):
        return module.extract(ties)
    tensors = {**module._parameters, **module._buffers}
    own = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    new = copy_with_tensors(module, own, type(module), ties)
    for name, child in module._modules.items():
        if child is not None:
            new._modules[name] = extract(child, ties)
    return new


def copy_with_tensors(
    layer: nn.Module,
    tensors: Mapping[str, Tensor],
    kind: type[nn.Module],
    ties: Ties | None = None,
    **attributes: Any,
) -> nn.Module:
    """A `kind` like `layer` with copies of other `tensors` (by name) and other `attributes`.

    It shares nothing with `layer`, children apart. Running the constructor, which draws weights, or
    copying deeply would take a tenth of the time that measuring a small network does.
    """
    new = kind.__new__(kind)
    kept = layer.plain if isinstance(layer, Elastic) else None
    own = vars(new)
    for name, value in vars(layer).items():
        if kept is None or name in kept:  # of parameters, buffers, children, hooks
            own[name] = value.copy() if isinstance(value, dict | set) else value
    cuts = (layer.cuts or {}) if isinstance(layer, Elastic) else {}
    parameters = own["_parameters"]
    for name in [name for name in parameters if name not in tensors]:
        if parameters[name] is not None:
            del parameters[name]
    ties = Ties() if ties is None else ties
    for name, tensor in tensors.items():
        if name in parameters:
            parameters[name] = ties.parameter(parameters[name], cuts.get(name), tensor)
        else:
            own["_buffers"][name] = tensor.detach().clone()
    own.update(attributes)
    return new


def _join(tensor: Tensor, cut: Cut) -> Tensor:
    """The part of a tensor that `cut` says; a copy where an axis is joined."""
    for axis, piece in enumerate(cut):
        if isinstance(piece, tuple):
            # Split first: slices of the whole would each cost a gradient of the whole's size.
            edges = [*(p.start for p in piece), tensor.shape[axis]]
            parts = tensor.split_with_sizes([b - a for a, b in pairwise(edges)], axis)
            taken = [
                part.narrow(axis, 0, p.stop - p.start) for part, p in zip(parts, piece, strict=True)
            ]
            tensor = torch.cat(taken, axis)
        elif piece.stop is not None:
            tensor = tensor.narrow(axis, piece.start, piece.stop - piece.start)
    return tensor


@lru_cache(maxsize=2**14)
def _cuts(
    axes: Axes, full: tuple[tuple[str, Width], ...], active: tuple[Width | None, ...]
) -> Mapping[str, Cut] | None:
    pieces: dict[str | None, Any] = {None: slice(None)}
    for (name, most), size in zip(full, active, strict=True):
        pieces[name] = slice(None) if size in (None, most) else _piece(name, most, size)
    if all(piece == slice(None) for piece in pieces.values()):
        return None
    cuts = {}
    for name, sizes in axes:
        cut = [pieces[size] for size in sizes]
        while cut and cut[-1] == slice(None):
            cut.pop()
        cuts[name] = tuple(cut)
    return cuts


def _piece(name: str, most: Width, size: Width | None) -> Any:
    """The slice, or the slices of joined axes, that holds `size` of `most` channels."""
    if isinstance(most, tuple):
        if not isinstance(size, tuple) or len(size) != len(most):
            raise NasplugError(
                f"{name} must have {len(most)} parts, at most {most}, but got {size}"
            )
        found, start = [], 0
        for one, greatest in zip(size, most, strict=True):
            _check(name, one, greatest)
            found.append(slice(start, start + one))
            start += greatest
        return tuple(found)
    _check(name, size, most)
    start = (most - size) // 2 if name == CENTRED else 0  # type: ignore[operator]
    return slice(start, start + size)  # type: ignore[operator]


def _check(name: str, size: Any, most: int) -> None:
    if not isinstance(size, int) or not 1 <= size <= most:
        raise NasplugError(f"1 <= {name} <= {most} must hold, but got {size!r}")
    if name == CENTRED and (most - size) % 2:
        raise NasplugError(f"{name} must differ from {most} by an even number, but got {size}")
