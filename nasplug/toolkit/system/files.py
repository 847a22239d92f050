"""Files that are whole or absent, whenever their writer is killed."""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

DAY = 24 * 60 * 60


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to, which takes its place at the end.

    Whoever opens `path`, at any moment and after a kill or a power failure at any moment, gets the
    whole old file or the whole new one. On an error the new one vanishes and the old one stays. The
    block must make the file; it has the permissions that any new file has. Two writers may work at
    the same time: the last to end wins. What a killed writer left is for `sweep`.

    >>> with replacing(folder / "front.csv") as temporary:
    ...     table.to_csv(temporary)
    """
    temporary = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy the next `size` bytes of `source` to `target`; fewer where it has no more."""
    while size > 0 and (block := source.read(min(size, 2**20))):
        target.write(block)
        size -= len(block)


def sweep(folder: Path) -> None:
    """Remove from `folder` (not from the folders in it) the temporary files of dead writers: of this
    machine, by their process; of others that share the folder, when they are a day old."""
    pattern = re.compile(r"\..+\.([^.]*)\.(\d+)\.[0-9a-f]{8}\.tmp")
    for path in folder.glob(".*.tmp"):
        if match := pattern.fullmatch(path.name):
            host, process = match[1], int(match[2])
            with suppress(OSError):  # another sweeps at the same time, or it is not ours to remove
                old = time.time() - path.stat().st_mtime > DAY
                if old or (host == _host() and not _alive(process)):
                    path.unlink()


def _host() -> str:
    return re.sub(r"\W", "-", platform.node())[:32]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
