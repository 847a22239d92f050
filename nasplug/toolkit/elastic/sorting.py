"""Channel sorting: the most important channels first, so that narrow sub-networks inherit them.

The importance of a channel is the L1 norm of the weights that read it (Cai et al., Once-for-All, ICLR
2020, section 3.3), over all layers that do. What the full network computes stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from nasplug.toolkit.elastic.conv import ElasticConv2d
from nasplug.toolkit.elastic.layer import Elastic
from nasplug.toolkit.elastic.norms import ElasticGroupNorm
from nasplug.toolkit.elastic.sizes import Joined, Own, Repeated, Size, Sized, total


@final
@dataclass(frozen=True)
class Axis:
    """One layer's side of an axis: the size's name; where its channels begin, and how many there are,
    where several axes are joined; and the entries of a channel, where it is flattened."""

    layer: Elastic
    name: str
    start: int = 0
    width: int | None = None
    times: int = 1


@torch.no_grad()
def sort_channels(model: nn.Module, trained: int = 0) -> None:
    """Sort every axis of elastic size by importance, alike in all layers that have it in common.

    The `trained` widths below the greatest are those of sub-networks that are trained already: no
    channel crosses them. Axes that groups of channels depend on (grouped convolutions, group norm)
    keep their order.
    """
    common: dict[Size, list[Axis]] = {}
    fixed: set[Size] = set()
    for layer in (m for m in model.modules() if isinstance(m, Elastic)):
        for name, size in layer.sizes.items():
            for key, axis in _axes(layer, name, size):
                common.setdefault(key, []).append(axis)
                if _ordered(layer) or (isinstance(key, Own) and not key.sortable):
                    fixed.add(key)
    for size, axes in common.items():
        if size not in fixed and any(_tensors(axis) for axis in axes):
            widths = sorted(set(size.table.values()))
            edges = widths[max(0, len(widths) - 1 - trained) : -1] if trained else []
            sort_axis(axes, edges)


def sort_axis(axes: Sequence[Axis], trained_widths: Sequence[int] = ()) -> None:
    """Sort one axis that layers have in common, within the bands between `trained_widths`."""
    readers = [axis for axis in axes if axis.name in axis.layer.READS]
    if readers:
        order = importance_order(importance(readers), trained_widths)
        permute(axes, order)


def importance(readers: Iterable[Axis]) -> Tensor:
    """The L1 norm of what reads each channel, shape (width,)."""
    norms = []
    for axis in readers:
        weight = axis.layer.get_parameter("weight")
        place = dict(axis.layer.axes)["weight"].index(axis.name)
        norm = weight.abs().sum([i for i in range(weight.ndim) if i != place])
        stop = None if axis.width is None else axis.start + axis.width * axis.times
        norms.append(norm[axis.start : stop].view(-1, axis.times).sum(1))
    return torch.stack(norms).sum(0) if len(norms) > 1 else norms[0]


def importance_order(importance: Tensor, trained_widths: Sequence[int] = ()) -> Tensor:
    """Channels by falling importance, shape (width,); none crosses a trained width (ascending)."""
    edges = [0, *trained_widths, len(importance)]
    return torch.cat(
        [
            low + importance[low:high].argsort(descending=True, stable=True)
            for low, high in pairwise(edges)
        ]
    )


def permute(axes: Iterable[Axis], order: Tensor) -> None:
    """Reorder the channels of an axis in all tensors of layers that have it in common.

    A tensor that several layers share is reordered once.
    """
    done: set[tuple[int, int, int]] = set()
    for axis in axes:
        step = torch.arange(axis.times, device=order.device)
        inside = (order[:, None] * axis.times + step).flatten() + axis.start
        for tensor, place in _tensors(axis):
            key = (id(tensor), place, axis.start)
            if key not in done:
                done.add(key)
                every = torch.arange(tensor.shape[place], device=tensor.device)
                every[axis.start : axis.start + len(inside)] = inside
                tensor.copy_(tensor.index_select(place, every))


def _tensors(axis: Axis) -> list[tuple[Tensor, int]]:
    """The layer's tensors that have the axis, and where."""
    found = []
    for name, sizes in axis.layer.axes:
        tensor = getattr(axis.layer, name)
        if tensor is not None and axis.name != "kernel_size":
            found += [(tensor, place) for place, size in enumerate(sizes) if size == axis.name]
    return found


def _axes(layer: Elastic, name: str, size: Sized, start: int = 0) -> Iterator[tuple[Size, Axis]]:
    """The elastic axes that a layer's size consists of."""
    if isinstance(size, Joined):
        for part in size.parts:
            yield from _axes(layer, name, part, start)
            start += total(part)
    elif isinstance(size, Repeated):
        yield size.size, Axis(layer, name, start, total(size.size), size.times)
    elif isinstance(size, Size):
        yield size, Axis(layer, name, start, total(size))


def _ordered(layer: Elastic) -> bool:
    """Whether the place of a channel matters to what the layer computes."""
    grouped = isinstance(layer, ElasticConv2d) and layer.groups > 1
    return grouped or (isinstance(layer, ElasticGroupNorm) and layer.num_groups > 1)
