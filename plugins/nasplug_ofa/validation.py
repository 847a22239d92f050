"""What a user hands to the once-for-all spaces, checked: knobs and published configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasplug import NasplugError


def positive(name: str, value: int | None, default: int) -> int:
    """`value`, or the published default where it is None; an error unless it is at least 1."""
    value = default if value is None else value
    if value < 1:
        raise NasplugError(f"{name} >= 1 must hold, but got {value}; e.g. space.{name}={default}")
    return value


def width_multiplier(value: float) -> float:
    """`value`; an error unless it is greater than 0."""
    if not value > 0:
        raise NasplugError(f"width_mult > 0 must hold, but got {value}; e.g. space.width_mult=1.0")
    return value


def dropout_rate(value: float) -> float:
    """`value`; an error unless it is at least 0 and less than 1."""
    if not 0 <= value < 1:
        raise NasplugError(f"0 <= dropout < 1 must hold, but got {value}; e.g. space.dropout=0.1")
    return value


def entries(config: Mapping[str, Any], key: str, n: int) -> Sequence[Any]:
    """The list `config[key]`; an error unless it has `n` entries."""
    values = config.get(key)
    if not isinstance(values, list | tuple) or len(values) != n:
        raise NasplugError(f"{key!r} must be a list of {n} numbers, but got {values!r}")
    return values


def entry(values: Sequence[Any], key: str, i: int, options: Sequence[Any]) -> Any:
    """`values[i]`; an error unless it is one of `options`."""
    if values[i] not in options:
        raise NasplugError(f"{key}[{i}] must be one of {list(options)}, but got {values[i]!r}")
    return values[i]
