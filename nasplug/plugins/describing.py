"""Describes a part by what would build it again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def describe(part: Any) -> dict[str, Any]:
    """What would build `part` again: its class, and its constructor's arguments, read from its
    attributes of the same names."""
    kind = type(part)
    parameters = [p for p in inspect.signature(kind).parameters if hasattr(part, p)]
    return {
        "_target_": f"{kind.__module__}.{kind.__qualname__}",
        **{name: _plain(getattr(part, name)) for name in parameters},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return describe(value) if hasattr(value, "__dict__") else str(value)
