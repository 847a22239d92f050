"""What a network is called with: positional arguments, or keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Inputs = tuple[Any, ...] | Mapping[str, Any]
"""A tuple of positional arguments, or a mapping of keywords; the values may be nested."""


def call(network: nn.Module, inputs: Inputs) -> Any:
    """The outputs of `network` for `inputs`.

    >>> call(model, (images,))
    >>> call(model, {"input_ids": tokens, "attention_mask": mask})
    """
    return network(**inputs) if isinstance(inputs, Mapping) else network(*inputs)
