"""Tells a Ctrl-C of the user's from a KeyboardInterrupt that an evaluator's own code raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_seen = False


def seen() -> bool:
    """Whether a signal to stop has come since `watched` began."""
    return _seen


@contextmanager
def watched() -> Iterator[None]:
    """Within it SIGINT and SIGTERM are noted before whoever handles them is called.

    Only the main thread may ask for signals, and only it is interrupted by them: elsewhere, and where
    nobody handles a signal, nothing changes.
    """
    global _seen
    _seen, before = False, {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)):
                before[number] = handler
                signal.signal(number, _noting(handler))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _seen = False


def _noting(handler: Callable[[int, FrameType | None], Any]) -> Callable[..., Any]:
    def note(number: int, frame: FrameType | None) -> Any:
        global _seen
        _seen = True
        return handler(number, frame)

    return note
