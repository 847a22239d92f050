"""Describes a part by what would build it again: what configurations and caches know it by."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any

from nasplug.contracts.errors import NasplugError, shortened
from nasplug.plugins.checking import check_value, declared


def describe(part: Any) -> dict[str, Any]:
    """What would build `part` again: its class, and its constructor's arguments, read from its
    attributes of the same names; plain data, that JSON holds.

    Two parts that differ must be described differently, or one would be taken for the other: an
    argument that is not kept, or that has no description, is an error that names it.

    >>> describe(ToySpace(layers=2))
    {'_target_': 'nasplug.testing.fakes.ToySpace', 'layers': 2, 'widths': [2, 4, 8], ..}
    """
    if isinstance(part, type) or not _is_part(part):
        raise NasplugError(
            f"a part must be an object with a constructor, but got {shortened(part)}"
        )
    check_kept(part)
    kind = type(part)
    return {
        "_target_": f"{kind.__module__}.{kind.__qualname__}",
        **{name: _plain(getattr(part, name), f"{name} of {_name(part)}") for name in _names(part)},
    }


def check_kept(part: Any) -> None:
    """An error unless `part` keeps every argument of its constructor as an attribute of that name."""
    for name in _names(part):
        if not hasattr(part, name):
            raise NasplugError(
                f"{_name(part)} must keep its argument {name!r} as an attribute of that name, by which "
                f"it is told from others; add self.{name} = {name} to its __init__"
            )


def check_ranges(part: Any) -> None:
    """An error unless the numbers that `part` was given are in their declared ranges, and those of
    the parts that it is made of: for what was built without `make`."""
    try:
        hints = declared(type(part))
    except NasplugError:  # of a class whose types only a type checker sees
        hints = {}
    for name in _names(part):
        value = getattr(part, name, None)
        if isinstance(value, int | float):
            check_value(f"{name} of {_name(part)}", value, hints.get(name, Any))
        elif not isinstance(value, type) and _is_part(value):
            check_ranges(value)


def _names(part: Any) -> list[str]:
    """Of the constructor's parameters, but for `*args` and `**kwargs`, which have no names to keep."""
    try:
        parameters = inspect.signature(type(part)).parameters.values()
    except ValueError:  # a class written in C
        return []
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.kind not in loose]


def _name(part: Any) -> str:
    return type(part).__name__


def _plain(value: Any, what: str) -> Any:
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{what}[{k!r}]") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, what) for v in value]
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if _is_part(value):
        return describe(value)
    raise NasplugError(
        f"{what} must be plain data or a part, so that it can be described, but got a "
        f"{type(value).__name__}; give its class a constructor whose arguments it keeps"
    )


def _is_part(value: Any) -> bool:
    """Whether its constructor says all of it: a class written in Python, without weights."""
    kind = type(value)
    if kind.__module__ == "builtins" or isinstance(value, Enum):
        return False
    written = inspect.isfunction(kind.__init__)
    bare = all(getattr(kind, n) is getattr(object, n) for n in ("__init__", "__new__"))
    weights = getattr(value, "state_dict", None)
    return (written or bare) and not (callable(weights) and weights())
