"""Limits of metrics: constraints of a search, and `under` of an export."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from numbers import Real
from typing import Any

from nasplug.contracts.errors import NasplugError

LIMITS = ("min", "max")


def check_limits(where: str, limits: Any) -> None:
    """`limits` must map metrics to finite numbers, {"params": {"min": 1e6, "max": 5e6}}, no `min`
    above its `max`; `where` is what they are called, "constraints" or "under"."""
    if not isinstance(limits, Mapping):
        raise NasplugError(
            f"{where} must be limits of metrics, e.g. {where}.params.max=5e6, but got {limits!r}"
        )
    for metric, limit in limits.items():
        what = f"{where}.{metric}"
        if not isinstance(limit, Mapping) or not limit or not set(LIMITS) >= set(limit):
            raise NasplugError(
                f"{what} must be limits, {what}.max=NUMBER or {what}.min=NUMBER, but got {_text(limit)}"
            )
        for side, value in limit.items():
            if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
                raise NasplugError(f"{what}.{side} must be a finite number, but got {value!r}")
        if limit.get("min", -float("inf")) > limit.get("max", float("inf")):
            raise NasplugError(
                f"{what}.min must be at most {what}.max, but got min={limit['min']}, max={limit['max']}"
            )


def _text(limit: Any) -> str:
    return repr(dict(limit)) if isinstance(limit, Mapping) else repr(limit)
