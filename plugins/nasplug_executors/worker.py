"""One worker of executor=processes: a process, and the pipe to it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.executor import Measure
from nasplug.contracts.types import Trial
from nasplug.toolkit.system.text import clean
from nasplug_executors import guardian


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Within it, processes start with these: torch reads them when it is first imported."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in variables if name in before})


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Within it Ctrl-C waits, and processes start deaf to it: it is for this process to handle."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@final
class Guardian:
    """The program that ends the workers if this process dies."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def tell(self, text: str) -> None:
        """`+ID` or `-ID`."""
        assert self._program.stdin is not None
        with suppress(OSError):  # if it was killed, the workers still watch for themselves
            self._program.stdin.write(f"{text}\n".encode())
            self._program.stdin.flush()

    def close(self) -> None:
        """It ends, and so does what the workers left running."""
        self._program.communicate()


@final
class Worker:
    """One process that measures; starts at once, is idle when it says so, and has one task at a time.

    `places` are the positions under way in it, `deadline` is when they must be done.
    """

    def __init__(self, threads: int, guardian: Guardian) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,))
        self.idle = False
        self.loaded: set[int] = set()
        self.places: Sequence[int] = ()
        self.deadline = float("inf")
        self._guardian = guardian
        resource_tracker.ensure_running()  # it starts with SIGINT blocked, and unblocks it
        with _environment(OMP_NUM_THREADS=str(threads)), _no_ctrl_c():
            try:
                self.process.start()
                guardian.tell(f"+{self.process.pid}")
            except OSError as error:
                raise NasplugError(
                    f"a worker of executor=processes must start, but: {error.strerror or error}"
                ) from error
            finally:
                other.close()

    def load(self, key: int, measure: bytes) -> None:
        """Give it the pickled `measure`, called `key` from then on."""
        self.loaded.add(key)
        self._send(key, measure)

    def begin(
        self, key: int, trials: Sequence[Trial], places: Sequence[int], timeout: float
    ) -> None:
        """Let it measure `trials`, which are those at `places`, within `timeout` seconds."""
        self.places, self.deadline = places, time.monotonic() + timeout
        self._send(key, trials)

    def _send(self, *message: Any) -> None:
        self.idle = False
        with suppress(OSError):  # if it died, that is seen where answers are awaited
            self.pipe.send(message)

    def answer(self) -> Any:
        """What it says: its outcomes, or None when it has started or loaded. EOFError if it died."""
        try:
            if not self.pipe.poll():
                raise EOFError
            kind, answer = self.pipe.recv()
        except (OSError, pickle.UnpicklingError) as error:
            raise EOFError from error
        if kind == "error":
            raise NasplugError(answer)
        self.idle, self.places, self.deadline = True, (), float("inf")
        return answer

    def end(self, patience: float = 0.0) -> None:
        """End it and what it has started: at once, or if it is idle in so many seconds."""
        self.pipe.close()
        self.process.join(patience if self.idle else 0)
        if self.process.pid is not None:
            guardian.kill(self.process.pid)
            self.process.join()
            self._guardian.tell(f"-{self.process.pid}")

    @property
    def how_it_ended(self) -> str:
        """Its exit status, or the signal that killed it."""
        status = self.process.exitcode or 0
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _work(pipe: Connection) -> None:
    """In the worker: answer every message until the pipe closes."""
    os.setpgid(0, 0)  # with what it starts it is a group of its own, which ends as one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    known: dict[int, Measure] = {}
    try:
        pipe.send(("ready", None))
        while True:
            key, given = pipe.recv()
            pipe.send(_answer(known, key, given))
    except (EOFError, OSError):  # the search is over, or was killed
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join(0.1)
        if not parent.is_alive():
            guardian.kill(os.getpid())


def _answer(known: dict[int, Measure], key: int, given: Any) -> tuple[str, Any]:
    try:
        if isinstance(given, bytes):
            known[key] = pickle.loads(given)
            return "ready", None
        return "done", known[key](given)
    except NasplugError as error:
        return "error", str(error)
    except Exception as error:
        return "error", (
            f"a worker of executor=processes must be able to load the evaluator, but got "
            f"{type(error).__name__}: {clean(error)}; its class must be at the top of a module that "
            "can be imported"
        )


def _end_with_parent() -> None:
    """The guardian's work, for where it was killed as well."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    while os.getppid() == parent.pid and parent.is_alive():
        parent.join(1.0)
    guardian.kill(os.getpid())
