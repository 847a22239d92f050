"""Files of strangers: checked before they are read, and one clear line for whatever is wrong in them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasplug import NasplugError

LONGEST = 500
"""Characters of a reason that are shown; errors of libraries and of spaces may quote whole files."""


def checked(path: Path, setting: str, what: str) -> Path:
    """`path`, if it is a plain file that is not empty.

    `setting` is the configuration's word for it and `what` says what the file must be, both for the
    NasplugError.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        fault = "is none"
    except (OSError, ValueError) as error:
        fault = f"cannot be read: {reason(error)}"
    else:
        if stat.S_ISDIR(found.st_mode):
            fault = "is a folder"
        elif not stat.S_ISREG(found.st_mode):  # a pipe would wait for ever, a device never end
            fault = "is no plain file"
        elif not found.st_size:
            fault = "is empty"
        else:
            return path
    raise NasplugError(f"{setting} must be {what}, but {path} {fault}")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever the reading inside raises becomes a NasplugError that `path` must be `what`."""
    try:
        yield
    except NasplugError:
        raise
    except Exception as error:  # parsers raise what they like where a file is damaged
        raise NasplugError(f"{path} must be {what}, but cannot be read: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """What an error says, in one short line of printable characters."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return f"it must be UTF-8, {error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"it has no {shortened(str(error))}"
    return shortened(str(error)) or type(error).__name__


def shortened(text: str, longest: int = LONGEST) -> str:
    """`text` in one line of printable characters, cut to the longest that is shown."""
    line = " ".join(text[: 4 * longest].split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= longest else f"{line[:longest]} .."
