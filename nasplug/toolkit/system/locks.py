"""A lock between processes, which the system frees however its holder ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockTimeout(Exception):
    """Another process or thread has the lock."""


@contextmanager
def exclusive_lock(path: Path, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`, which is made if need be and stays; nothing is written to it.

    Where another process or thread holds it, wait until it is free, or without `wait` raise
    `LockTimeout`. A symbolic link is not followed: whoever may write to the folder could name any
    file of the user's by it. OSError where the file cannot be opened (a folder that is missing or
    read-only, a link), or where its file system has no locks.
    """
    import portalocker

    flags = portalocker.LockFlags.EXCLUSIVE
    if not wait:
        flags |= portalocker.LockFlags.NON_BLOCKING
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    _open.add(descriptor)
    try:
        try:
            portalocker.lock(descriptor, flags)
        except portalocker.AlreadyLocked:
            raise LockTimeout(str(path)) from None
        except portalocker.LockException as error:
            raise OSError(f"{path} cannot be locked: {error}") from error
        try:
            yield
        finally:
            portalocker.unlock(descriptor)
    finally:
        _open.discard(descriptor)
        os.close(descriptor)


_open: set[int] = set()


def _let_go() -> None:
    """In a forked child: it shares its parent's locks, and would keep them when the parent is gone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _open:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _open.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_let_go)
