"""Tensors in nested values: batches, and the structured outputs of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in `value`, a tensor, or mappings, sequences and dataclasses of them, in order.

    >>> [t.shape for t in tensors({"logits": logits, "states": (first, second)})]
    """
    return (tensor for _, tensor in named_tensors(value))


def named_tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The same with their places: "logits", "states.0"; "" for a tensor itself."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from named_tensors(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for key, part in enumerate(value):
            yield from named_tensors(part, f"{name}.{key}" if name else str(key))
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            place = f"{name}.{field.name}" if name else field.name
            yield from named_tensors(getattr(value, field.name), place)


def map_tensors(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """`value`, a tensor, or containers or dataclasses of them, with each tensor changed.

    >>> map_tensors(torch.Tensor.detach, outputs)
    """
    import torch
    from torch.utils._pytree import tree_map_only

    if is_dataclass(value) and not isinstance(value, type | Mapping):
        changed = {f.name: map_tensors(change, getattr(value, f.name)) for f in fields(value)}
        return replace(value, **changed)
    return tree_map_only(torch.Tensor, change, value)


def main_output(outputs: Any) -> torch.Tensor | None:
    """The tensor that a network is asked for: the outputs where they are one, the `logits` of a
    structure that has them, else the first tensor of real numbers; None where there is none."""
    found = {n: t for n, t in named_tensors(outputs) if t.is_floating_point()}
    return found.get("logits", next(iter(found.values()), None))
