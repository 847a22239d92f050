"""Reads pickles of plain data and nothing else, since a pickle may run any code when it is read."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any

from nasplug import NasplugError
from nasplug_tables.readers.opening import checked, reason
from nasplug_tables.readers.pickle_machine import Machine

CHUNK = 1 << 20
"""Bytes unpacked at a time."""

LEAST_UNPACKED, RATIO = 64 << 20, 100
"""A packed file may unpack to the first in bytes, and to the second times its size beyond: published
benchmarks shrink to a tenth, a bomb to a hundred-thousandth."""

CONTAINERS, BYTES = 1_000_000, 4
"""A pickle may make so many containers, and one for each second of these bytes of its file: an empty
set takes one byte in a pickle, 216 in memory."""


def load(path: Path) -> Any:
    """What the first pickle in a file holds, packed by bz2 or not; of protocol 2 to 5.

    Numbers, texts, lists, tuples, sets, dictionaries (a `defaultdict` becomes a plain one), and numpy
    arrays of booleans, integers, floats, texts and lists of such. Nothing that the file names is
    imported or called: `Machine` builds these from their parts, and knows nothing else.

    Raises NasplugError, in one line, where the file holds anything else or is damaged.
    """
    checked(path, "a table", "a pickle of plain data")
    try:
        data = _unpacked(path) if path.suffix in (".pbz2", ".bz2") else path.read_bytes()
        return Machine(data, CONTAINERS + path.stat().st_size // BYTES).run()
    except NasplugError as error:
        raise NasplugError(f"{path}: {error}") from None
    except (OSError, EOFError, ValueError, MemoryError) as error:
        fault = reason(error)
    except Exception:  # a hostile file can bring about any
        fault = "its parts do not fit together"
    raise NasplugError(f"{path} must be a pickle, but cannot be read: {fault}")


def _unpacked(path: Path) -> bytes:
    most = LEAST_UNPACKED + RATIO * path.stat().st_size
    chunks, size = [], 0
    with bz2.open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise ValueError(f"it unpacks to more than {most:,} bytes, as no benchmark does")
    return b"".join(chunks)
