"""Tensors in nested values: batches, and the structured outputs of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in `value`, a tensor, or mappings, sequences and dataclasses of them, in order.

    >>> [t.shape for t in tensors({"logits": logits, "states": (first, second)})]
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))
