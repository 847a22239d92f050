"""Checks the arguments of a part: known, of the declared type, and numbers in the declared range."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typeguard

from nasplug.contracts.errors import NasplugError, shortened, unknown
from nasplug.plugins.choices import groups

WORDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""The limits that a declaration may have, as `nasplug.Range` and annotated-types name them."""


def check_arguments(target: Any, keywords: Mapping[str, Any]) -> None:
    """Every keyword is known, and of the type and in the range that the constructor declares."""
    parameters = inspect.signature(target).parameters
    where = target.__name__
    for name in keywords:
        if name not in parameters:
            raise unknown(f"argument of {where}", name, parameters)
    hints = declared(target)
    for name, value in keywords.items():
        check_value(f"{name} of {where}", value, hints.get(name, Any), _how_to_make(name, value))


def check_present(target: Any, keywords: Mapping[str, Any]) -> None:
    """No argument without a default is missing."""
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.default is parameter.empty and name not in keywords:
            raise NasplugError(f"{target.__name__} needs {name!r}; give it, e.g. {name}=...")


def _how_to_make(name: str, value: Any) -> str:
    if isinstance(value, str) and name in groups():
        return f"; a name is made a part by nasplug.make({name!r}, {value!r})"
    return ""


def check_value(what: str, value: Any, hint: Any, advice: str = "") -> None:
    """An error, which ends with `advice`, unless `value` is of the type `hint` and its numbers are in
    the declared ranges.

    >>> check_value("threads of Costs", 0, nasplug.PositiveInt)
    nasplug.NasplugError: threads of Costs must be int, at least 1, but got 0
    """
    token = _OURS.set(True)
    try:
        typeguard.check_type(
            value, hint, collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS
        )
    except typeguard.TypeCheckError:
        raise NasplugError(
            f"{what} must be {spelled(hint)}, but got {shortened(value)}{advice}"
        ) from None
    finally:
        _OURS.reset(token)
    if not _says_infinite(hint) and not _is_finite(value):
        raise NasplugError(f"{what} must be finite, but got {shortened(value)}")


@cache
def _hints(target: Any) -> Mapping[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise NasplugError(
            f"the types of {target.__name__}'s arguments must be imported where it is defined, not for "
            f"type checkers alone, but {error}"
        ) from None


def declared(target: Any) -> Mapping[str, Any]:
    """The types that the parameters of a class or function are declared with, ranges and all."""
    return _hints(target)


def spelled(hint: Any) -> str:
    """A type as an error says it: "int, at least 1", "float, above 0 and at most 1, or None"."""
    if hint is type(None):
        return "None"
    if get_origin(hint) is Annotated:
        inner, *limits = get_args(hint)
        words = [
            f"{word} {getattr(limit, name):g}"
            for limit in limits
            for name, word in WORDS.items()
            if getattr(limit, name, None) is not None
        ]
        return f"{spelled(inner)}, {' and '.join(words)}" if words else spelled(inner)
    if get_origin(hint) in (Union, UnionType):
        kinds = list(map(spelled, get_args(hint)))
        return (", or " if any("," in kind for kind in kinds) else " or ").join(kinds)
    if any(get_origin(inner) is Annotated for inner in get_args(hint)):
        of = " to ".join(spelled(inner) for inner in get_args(hint) if inner is not Ellipsis)
        return f"{get_origin(hint).__name__} of {of}"
    return inspect.formatannotation(hint)


# ---- numbers, as typeguard is to see them --------------------------------------------------------

_OURS: ContextVar[bool] = ContextVar("nasplug_checking", default=False)
"""Whether it is nasplug that checks: what others do with typeguard stays as it is."""


def _numbers(origin: Any, args: tuple[Any, ...], extras: tuple[Any, ...]) -> Any:
    """typeguard's extension point: what checks a type of this origin, args and annotations."""
    if origin not in (int, float) or not _OURS.get():
        return None

    def check(value: Any, origin: Any, args: tuple[Any, ...], memo: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, origin)):
            raise typeguard.TypeCheckError("is no number of this type")
        for name, holds in _HOLDS.items():
            for limit in extras:
                bound = getattr(limit, name, None)
                if bound is not None and not holds(value, bound):
                    raise typeguard.TypeCheckError(f"is not {WORDS[name]} {bound:g}")

    return check


_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "ge": lambda value, bound: value >= bound,
    "gt": lambda value, bound: value > bound,
    "le": lambda value, bound: value <= bound,
    "lt": lambda value, bound: value < bound,
}

typeguard.checker_lookup_functions.insert(0, _numbers)


def _is_finite(value: Any) -> bool:
    """Whether all floats within are."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _says_infinite(hint: Any) -> bool:
    own = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return any(not getattr(limit, "finite", True) for limit in own) or any(
        map(_says_infinite, get_args(hint))
    )
