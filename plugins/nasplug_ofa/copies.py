"""Copies of layers around other tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def around(layer: nn.Module, tensors: Mapping[str, Tensor], **attributes: Any) -> nn.Module:
    """A layer like `layer` with copies of other `tensors` (by name), and other `attributes`.

    It shares nothing with `layer`, children apart. Running the constructor, which draws weights, or
    copying deeply would take a tenth of the time that measuring a small network does.
    """
    new = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, dict):  # of parameters, buffers, children, hooks
            vars(new)[name] = value.copy()
    for name, tensor in tensors.items():
        own = tensor.detach().clone()
        if name in new._parameters:
            new._parameters[name] = nn.Parameter(own)
        else:
            new._buffers[name] = own
    for name, value in attributes.items():
        setattr(new, name, value)
    return new


def duplicate(layer: nn.Module) -> nn.Module:
    """A copy of `layer` that shares nothing with it, children apart."""
    tensors = {**layer._parameters, **layer._buffers}
    return around(layer, {name: t for name, t in tensors.items() if t is not None})
