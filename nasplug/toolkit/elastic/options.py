"""Lists of options that a space is given: which numbers a size may take."""

from __future__ import annotations

from collections.abc import Iterable

from nasplug.contracts.errors import NasplugError


def require_options(space: object, names: Iterable[str]) -> None:
    """An error unless the attributes of `space` with these names hold distinct positive numbers, at
    least one each; None is passed over."""
    for name in names:
        options = getattr(space, name)
        if options is None:
            continue
        if not options or min(options) <= 0 or len(set(options)) < len(options):
            raise NasplugError(f"{name} must be distinct positive numbers, but got {options}")
