"""The exceptions that a user is meant to see."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any


class NasplugError(Exception):
    """What must hold, what was got, and what to type; shown in one line, without a traceback."""

    exit_status = 1


class Stopped(NasplugError):
    """The user pressed Ctrl-C."""

    exit_status = 130


def unknown(what: str, got: object, choices: Iterable[object]) -> NasplugError:
    """The error for a name that is not among `choices`: lists them, and the nearest spelling."""
    names = sorted(str(c) for c in choices)
    near = difflib.get_close_matches(str(got), names, 1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return NasplugError(
        f"unknown {what} {shortened(got)}{hint} Known: {', '.join(names) or '(none)'}"
    )


def require_at_least(what: str, value: float, least: float) -> None:
    """An error unless `value` is at least `least`; `what` names the setting and its part.

    >>> require_at_least("threads of costs", threads, 1)
    """
    if value < least:
        raise NasplugError(f"{what} must be at least {least}, but got {value}")


class _Short(reprlib.Repr):
    """Without line breaks, nor addresses of memory, which say nothing and differ each time."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring, self.maxlong = 60, 40

    def repr_instance(self, x: Any, level: int) -> str:
        """Objects that reprlib knows nothing of."""
        try:
            text = repr(x)
        except Exception:  # whatever a stranger's __repr__ raises
            return f"<{type(x).__name__}>"
        return f"<{type(x).__name__}>" if " at 0x" in text or "\n" in text else text[:80]


_short = _Short()


def shortened(value: object) -> str:
    """How an error shows what it got: on one line, and however large it is, in some words."""
    return _short.repr(value)
