"""Builds parts again from what a file says of them: what `describe` wrote, read with suspicion."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from nasplug.app.files.trust import check_allowed, import_allowed
from nasplug.contracts.errors import NasplugError, shortened
from nasplug.plugins.checking import check_arguments, check_present, declared

DEEPEST = 20
"""Parts within parts within parts; what `describe` writes has three or four."""
LARGEST = 100_000
"""Values in a description; a text of some lines may stand for more than memory holds."""


def restore(description: Any, contract: type, what: str, **parts: Any) -> Any:
    """The part that `description` describes, a subclass of `contract`; `what` is it in errors.

    Call inside `names_from`. Nothing is imported before all of its names are seen to be allowed, and
    nothing is called that is not a class of the contract. Of `parts` (`space`, `task`, ..) the
    constructor is given those that it has parameters for.
    """
    _check_plain(description, what, iter(range(LARGEST)))
    kind = _class(description, contract, what)
    wanted = inspect.signature(kind).parameters
    given = {name: value for name, value in parts.items() if name in wanted}
    return _build(description, kind, what, given)


def _check_plain(node: Any, what: str, left: Iterator[int], depth: int = 0) -> None:
    """Plain data, whose only special key is `_target_`, and whose targets are all allowed."""
    if next(left, None) is None:
        raise NasplugError(f"{what} must have at most {LARGEST} values, but has more")
    if depth > DEEPEST:
        raise NasplugError(f"{what} must be at most {DEEPEST} levels deep, but goes deeper")
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not isinstance(key, str) or (key.startswith("_") and key != "_target_"):
                raise NasplugError(
                    f"{what} must have plain settings and _target_, but has {key!r}; remove it"
                )
            _check_plain(value, what, left, depth + 1)
        if "_target_" in node:
            if not isinstance(node["_target_"], str):
                raise NasplugError(f"_target_ of {what} must be text, got {node['_target_']!r}")
            check_allowed(node["_target_"])
    elif isinstance(node, list | tuple):
        for value in node:
            _check_plain(value, what, left, depth + 1)
    elif isinstance(node, str):
        if "${" in node:
            raise NasplugError(f"{what} must have no interpolations, but has {node!r}")
    elif not isinstance(node, int | float | None):
        raise NasplugError(f"{what} must be of plain data, but has {node!r}")


def _class(node: Any, contract: type | tuple[type, ...], what: str) -> type:
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise NasplugError(f"{what} must be described by a _target_, but got {shortened(node)}")
    kind: type = import_allowed(node["_target_"])
    contracts = contract if isinstance(contract, tuple) else (contract,)
    if not any(issubclass(kind, c) for c in contracts) or inspect.isabstract(kind):
        names = " or ".join(c.__name__ for c in contracts)
        raise NasplugError(f"{what} must be a {names}, but {node['_target_']} is none")
    return kind


def _build(node: Mapping[str, Any], kind: type, what: str, given: Mapping[str, Any]) -> Any:
    hints = declared(kind)
    settings = {
        name: _value(value, _classes(hints.get(name, Any)), f"{name} of {what}")
        for name, value in node.items()
        if name != "_target_"
    }
    keywords = {**settings, **given}
    check_arguments(kind, keywords)
    check_present(kind, keywords)
    try:
        return kind(**keywords)
    except NasplugError:
        raise
    except Exception as error:  # whatever a constructor makes of a stranger's settings
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(f"{what} cannot be built as {kind.__name__}: {reason}") from error


def _value(value: Any, expected: tuple[type, ...], what: str) -> Any:
    if isinstance(value, list | tuple):
        return [_value(v, expected, what) for v in value]
    if not isinstance(value, Mapping):
        return value
    if "_target_" in value:
        return _build(value, _class(value, expected, what), what, {})
    return {key: _value(v, expected, what) for key, v in value.items()}


def _classes(hint: Any) -> tuple[type, ...]:
    """The kinds of part that a parameter's type speaks of; any, where it speaks of none."""
    inner = [kind for part in get_args(hint) for kind in _classes(part) if kind is not object]
    plain = isinstance(hint, type) and hint.__module__ not in ("builtins", "collections.abc")
    return tuple(inner) or ((hint,) if plain else (object,))
