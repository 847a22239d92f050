"""The files of a tree of class folders: which there are, and a mark of what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from nasplug import NasplugError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FEW_FILES, FEW_BYTES = 2000, 64 * 2**20
"""Up to so many, and so large together, files are known by their content."""

Place = tuple[int, int]
"""A folder's device and inode: one place, by however many names."""


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted; at least two, that are not the same place."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    if len(names) < 2:
        raise NasplugError(
            f"a folder of images must hold class folders, two at least, but {folder} holds "
            f"{f'{names[0]} alone' if names else 'none'}"
        )
    seen: dict[Place, str] = {}
    for name in names:
        if (other := seen.setdefault(place(folder / name), name)) != name:
            raise NasplugError(
                f"classes must differ, but {other} and {name} of {folder} are one folder"
            )
    return names


def place(folder: str | Path) -> Place:
    """Where `folder` really is."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def image_files(folder: Path, outside: Collection[Place]) -> list[str]:
    """The image files of `folder`, any depth below, sorted.

    Links are followed, but not to a folder that was seen before nor to one of `outside` (a loop
    would give the same images again, and those of other classes). An error where there is none, or
    where a name of an image is no file.
    """
    found = sorted(_walk(str(folder), {*outside, place(folder)}))
    if not found:
        raise NasplugError(
            f"every class folder must hold images ({', '.join(SUFFIXES)}), but {folder} holds none"
        )
    return found


def _walk(folder: str, seen: set[Place]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if (where := place(entry.path)) not in seen:
                    seen.add(where)
                    yield from _walk(entry.path, seen)
            elif entry.name.lower().endswith(SUFFIXES):
                if not entry.is_file():
                    kind = "leads nowhere" if entry.is_symlink() else "is a pipe, socket or device"
                    raise NasplugError(
                        f"every image must be a file, but {entry.path} {kind}; remove it"
                    )
                yield entry.path


def files_fingerprint(root: Path, files: Collection[str]) -> str:
    """What `files` below `root` hold: a hash of paths and contents where they are few, else of
    paths, sizes and times of change."""
    status = {file: os.stat(file) for file in sorted(files)}
    few = len(status) <= FEW_FILES and sum(s.st_size for s in status.values()) <= FEW_BYTES
    digest = hashlib.sha256()
    for file, about in status.items():
        if few:
            with open(file, "rb") as stream:
                mark = hashlib.file_digest(stream, "sha256").hexdigest()
        else:
            mark = str(about.st_mtime_ns)
        name = os.fsencode(os.path.relpath(file, root))
        digest.update(b"%d %s %d %s\n" % (len(name), name, about.st_size, mark.encode()))
    return digest.hexdigest()
