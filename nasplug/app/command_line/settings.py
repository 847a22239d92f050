"""What the settings of config.yaml must be: said once, for all modes, before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from nasplug.app.checks.limits import check_limits
from nasplug.app.files.export import FORMATS
from nasplug.contracts.errors import NasplugError, unknown

LEVELS = ("debug", "info", "warning", "error")
LARGEST_SEED = 2**32 - 1
"""What NumPy's, torch's and Optuna's generators all take."""


@dataclass(frozen=True)
class Rule:
    """What a setting must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _whole(value: Any, least: int, most: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _names(value: Any) -> bool:
    """One name, or several."""
    return _text(value) or (isinstance(value, list) and all(map(_text, value)))


def _path(value: Any) -> bool:
    return value is None or _text(value) or _whole(value, 0)


def _days(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf


def _optional(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


RULES = {
    "objectives": Rule(
        "metric names, e.g. objectives=[top1,macs]",
        _optional(lambda v: _names(v) and len(v) > 0),
    ),
    "also": Rule("metric names, e.g. also=[params]", _names),
    "allow": Rule("names of packages, e.g. allow=[my_package]", _names),
    "clear": Rule("all, a kind or a name, e.g. clear=supernets", _path),
    "older": Rule("a number of days of at least 0", _days),
    "measure_last": Rule("names of evaluators, e.g. measure_last=[costs]", _names),
    "budget": Rule("a whole number of at least 1", lambda v: _whole(v, 1)),
    "seed": Rule(
        f"a whole number from 0 to {LARGEST_SEED:,}".replace(",", ""),
        lambda v: _whole(v, 0, LARGEST_SEED),
    ),
    "run": Rule("a folder, e.g. run=runs/NAME", _path),
    "to": Rule("a folder, e.g. to=networks/NAME", _path),
    "storage": Rule("an Optuna storage address, e.g. storage=sqlite:///a.db", _optional(_text)),
    "device": Rule("auto, cpu, cuda or another that torch has", _text),
    "weights": Rule("a file's path, or published", _optional(_text)),
    "test": Rule("true or false", lambda v: isinstance(v, bool)),
    "pick": Rule(
        "knee, an objective, or a number of results.csv", lambda v: _text(v) or _whole(v, 0)
    ),
}
LISTED = {"log": ("log level", LEVELS), "format": ("format", FORMATS)}
LIMITED = ("constraints", "under")


def check_setting(key: str, value: Any) -> None:
    """The setting `key` (such as "budget" or "under.macs.max") may be `value`; keys of parts, which the
    parts themselves check, pass."""
    rule = RULES.get(key)
    if rule and not rule.holds(value):
        raise NasplugError(f"{key} must be {rule.words}, but got {value!r}")
    if key in LISTED and value not in LISTED[key][1]:
        raise unknown(LISTED[key][0], value, LISTED[key][1])
    top, *inner = key.split(".")
    if top in LIMITED:
        for name in reversed(inner):
            value = {name: value}
        check_limits(top, value)
    elif key == "evaluators" and not isinstance(value, Mapping):
        raise NasplugError(f"{key} must be set one by one, {key}.NAME=VALUE, but got {value!r}")


def check_settings(plain: Mapping[str, Any]) -> None:
    """Every setting of a composed configuration."""
    for key, value in plain.items():
        check_setting(key, value)
