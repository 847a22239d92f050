"""Weights that networks of different shape share: each takes its part of a tensor large enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from nasplug_nni.supernet.switch_modules import SWITCHES


class Entry(NamedTuple):
    """A parameter or buffer of a network with switches: its name, itself, whose it is."""

    name: str
    tensor: Tensor
    owner: nn.Module
    local: str


def entries(module: nn.Module, running: bool, prefix: str = "") -> Iterator[Entry]:
    """The parameters and persistent buffers, in the order of a state dict; with `running` only
    those of what the switches have picked."""
    own = {**module._parameters, **module._buffers}
    for local, tensor in own.items():
        if tensor is not None and local not in module._non_persistent_buffers_set:
            yield Entry(prefix + local, tensor, module, local)
    names = module.running() if running and isinstance(module, SWITCHES) else module._modules
    for name in names:
        child = module._modules[name]
        if child is not None:
            yield from entries(child, running, f"{prefix}{name}.")


def part(whole: Tensor, entry: Entry) -> Tensor:
    """What of `whole` a tensor of the entry's shape takes.

    Leading channels; of a convolution's kernel the centre; of attention's stacked projections the
    leading rows of each.
    """
    shape = entry.tensor.shape
    if whole.shape == shape:
        return whole
    if isinstance(entry.owner, nn.MultiheadAttention) and entry.local.startswith("in_proj"):
        rows = [third[: shape[0] // 3] for third in whole.chunk(3)]
        return torch.cat(rows)[tuple(slice(n) for n in shape)]
    cuts = [
        slice(*bounds(entry, axis, size, wanted))
        for axis, (size, wanted) in enumerate(zip(whole.shape, shape, strict=True))
    ]
    return whole[tuple(cuts)]


def bounds(entry: Entry, axis: int, size: int, wanted: int) -> tuple[int, int]:
    """Where `wanted` places of an axis of `size` begin and end."""
    kernel = isinstance(entry.owner, _ConvNd) and entry.local == "weight" and axis >= 2
    start = (size - wanted) // 2 if kernel else 0
    return start, start + wanted


def larger(one: Tensor, other: Tensor) -> Tensor:
    """A tensor of which both shapes are parts; the first that is large enough, else new numbers."""
    shape = torch.Size(map(max, one.shape, other.shape))
    for tensor in (one, other):
        if tensor.shape == shape:
            return tensor
    new = one.new_empty(shape).normal_(std=float(one.std()))
    return nn.Parameter(new) if isinstance(one, nn.Parameter) else new


class Store(nn.Module):
    """Tensors by dotted name, as parameters and buffers of nested modules: an ordinary state dict."""

    def put(self, name: str, tensor: Tensor) -> None:
        """Keep a parameter or a buffer, whichever `tensor` is."""
        *path, local = name.split(".")
        module: nn.Module = self
        for step in path:
            if step not in module._modules:
                module.add_module(step, nn.Module())
            module = module._modules[step]  # type: ignore[assignment]
        if isinstance(tensor, nn.Parameter):
            module.register_parameter(local, tensor)
        else:
            module.register_buffer(local, tensor)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its name."""
        parameters = self.named_parameters(remove_duplicate=False)
        return {**dict(parameters), **dict(self.named_buffers(remove_duplicate=False))}
