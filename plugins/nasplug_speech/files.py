"""The files of a folder or of a zip file, by their names in it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, final

from nasplug import NasplugError

MOST = 2**31
"""Bytes that a zip file may unpack to: it is held in memory."""


@final
@dataclass(frozen=True)
class File:
    """One file: its name below the folder with "/", and what changes when its content does."""

    name: str
    stamp: str
    opened: Callable[[], BinaryIO]

    def text(self) -> str:
        """Its content, which must be UTF-8."""
        with self.opened() as file:
            content = file.read()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise NasplugError(
                f"{self.name} must be text in UTF-8, but line {line} is not; convert it, e.g. "
                "iconv -f latin1 -t utf8"
            ) from None


def files(path: str) -> dict[str, File]:
    """All files below a folder, or in a zip file, sorted by name; hidden ones are left out, and so is
    the name of the one folder that a zip file may hold all in."""
    place = Path(path).expanduser()
    if place.is_dir():
        return _below(place)
    if place.is_file() and place.suffix.lower() == ".zip":
        return _unpacked(place)
    raise NasplugError(
        f"task.path must be a folder of wav files, or a zip file of one, but there is no such {place}"
    )


def _below(folder: Path) -> dict[str, File]:
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if _hidden(name) or not file.is_file():
            continue
        status = file.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
        found[name] = File(name, stamp, partial(open_file, file))
    return found


def open_file(file: Path) -> BinaryIO:
    """A file, open to be read; NasplugError where it cannot be."""
    try:
        return file.open("rb")
    except OSError as error:
        raise NasplugError(f"{file} must be readable, but: {error.strerror}") from None


def _unpacked(place: Path) -> dict[str, File]:
    try:
        with zipfile.ZipFile(place) as archive:
            inside = sorted((i for i in archive.infolist() if not i.is_dir()), key=_name)
            size = sum(i.file_size for i in inside)
            if size > MOST:
                raise NasplugError(
                    f"{place} must unpack to at most {MOST} bytes, but has {size}; unpack it, and "
                    "give the folder as task.path"
                )
            inside = [i for i in inside if not _hidden(i.filename)]
            tops = {i.filename.partition("/")[0] if "/" in i.filename else "" for i in inside}
            top = f"{tops.pop()}/" if len(tops) == 1 and tops != {""} else ""
            found = {}
            for info in inside:
                name, stamp = info.filename.removeprefix(top), f"{info.file_size} {info.CRC:08x}"
                found[name] = File(name, stamp, partial(io.BytesIO, archive.read(info)))
            return found
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(f"{place} must be a zip file, but: {reason:.100}") from None
    except (ValueError, zlib.error) as error:
        raise NasplugError(f"{place} must be a zip file, but: {error!s:.100}") from None


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
