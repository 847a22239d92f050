"""Ends the workers of a search that died, with all that they started.

A program of its own, which imports nothing of nasplug: `Workers` runs this file beside the workers, in
a session of its own. It reads their process ids, a line each: +ID when one starts, -ID when it has
ended. Once the search is gone, however it went (its end of the pipe closes), it kills the process groups
of those left; no code of theirs can prevent that.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

SECONDS = 0.5
"""How often it asks who its parent is: a process forked by the search may keep the pipe open."""


def kill(process: int) -> None:
    """Kill a process and its group, if it leads one."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(process, signal.SIGKILL)


def main() -> None:
    """Wait until the search is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent, running, rest = os.getppid(), set[int](), b""
    while os.getppid() == parent:
        if select.select([0], [], [], SECONDS)[0]:
            if not (read := os.read(0, 4096)):
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                (running.add if line.startswith(b"+") else running.discard)(int(line[1:]))
    for process in running:
        kill(process)


if __name__ == "__main__":
    main()
