"""Ctrl-C and SIGTERM on the command line: one line, in at most three seconds, no process left.

`python -m nasplug` begins with it, so what takes time to import is imported where it is used, once the
signals are handled.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

SECONDS = 2.0
"""How long results are given to be written, before the process ends all the same."""
NUMBERS = (signal.SIGINT, signal.SIGTERM)
LINE = "stopped; to go on, run the same command again"

_line: str | None = None
"""What is said where there is something to put in order first."""
_came = 0
"""The signal that came, or 0."""
_turns = itertools.count()
"""The thread that takes the first ends the process."""


def install() -> None:
    """Handle both signals from now on; one that is ignored (`nohup`, a job in the background) stays so.

    Where nothing is to be put in order, the process ends at once. Elsewhere (see `orderly`)
    KeyboardInterrupt is raised, and the process ends when that has come out, at a second signal, or
    after `SECONDS`, also while native code keeps the main thread busy (unless it holds Python's lock).
    """
    for number in NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)
    import threading

    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_watch, args=(told,), daemon=True).start()


@contextmanager
def orderly(line: str) -> Iterator[None]:
    """Within it a signal is a KeyboardInterrupt, so that results are written; then `line` is said.

    It comes out as Stopped where the signals are not handled here, such as in a user's own program.
    """
    from nasplug.contracts.errors import Stopped

    global _line
    _line = line
    try:
        yield
    except BaseException as error:
        if _came:  # whatever became of the KeyboardInterrupt on its way
            _leave()
        if isinstance(error, KeyboardInterrupt):
            raise Stopped(line) from None
        raise
    finally:
        _line = None
    if _came:
        _leave()


def _handle(number: int, frame: FrameType | None) -> None:
    global _came
    again, _came = bool(_came), number
    if _line is None or again:
        _leave()
    sys.unraisablehook = lambda _: None  # a KeyboardInterrupt that comes in a destructor is no news
    raise KeyboardInterrupt


def _watch(told: int) -> None:
    """In a thread of its own, for where the main thread is busy in native code."""
    import select
    import time

    global _came
    while not (come := [number for number in os.read(told, 64) if number in NUMBERS]):
        pass
    if _line is not None and len(come) == 1:
        select.select([told], [], [], SECONDS)
    else:
        time.sleep(0.05)  # the main thread's handler is quicker if it can be
    _came = _came or come[0]
    _leave()


def _leave() -> NoReturn:
    """Say it once, and end this process and those that it started."""
    while next(_turns):  # the other thread is at it
        signal.pause()
    with suppress(Exception):
        if started := sys.modules.get("multiprocessing"):
            for child in started.active_children():
                child.kill()
    with suppress(OSError):
        clear = (
            "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""
        )  # a live line, and its hidden cursor
        os.write(2, f"{clear}nasplug: {_line or LINE}\n".encode(errors="replace"))
    os._exit(128 + _came)


def _forget() -> None:
    """In a forked process, such as one that loads data: as if nothing had been installed."""
    signal.set_wakeup_fd(-1)
    for number, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is _handle:
            signal.signal(number, default)
