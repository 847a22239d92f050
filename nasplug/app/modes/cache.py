"""mode=cache: what is kept for later runs, listed and cleared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nasplug.contracts.errors import NasplugError, require_at_least
from nasplug.toolkit.system.cache import cache_folder
from nasplug.toolkit.system.locks import LockTimeout, exclusive_lock

KEY = re.compile(r"([0-9a-f]{64})\..+|([0-9a-f]{16})-.+")
"""Files that belong to something kept: KEY.safetensors, KEY.json, KEY.lock, KEY.jsonl, or what was
fetched, KEY-NAME. Nothing else in the folder is shown or touched."""
SHORT = 12
"""Digits of a name that are shown, and are enough to clear it."""
ABOUT = ("architecture", "seed", "device")
"""Beside its parts, what is told of a kept thing."""


@dataclass(frozen=True)
class Kept:
    """The files of one kept thing; `size` in bytes, `date` of the last change."""

    name: str
    kind: str
    files: tuple[Path, ...]
    size: int
    date: datetime
    about: str


def main(cfg: Any) -> None:
    """List what is kept, or remove what `cfg.clear` and `cfg.older` name."""
    from rich.console import Console

    require_at_least("older, in days,", cfg.older, 0)
    which = None if cfg["clear"] is None else str(cfg["clear"])  # cfg.clear is a method
    found = _chosen(kept(cache_folder()), which, cfg.older)
    console = Console(highlight=False)
    if which is None:
        console.print(_table(found) if found else f"nothing is kept in {cache_folder()}")
        total = _size(sum(one.size for one in found))
        if found:
            print(f"{len(found)} in {cache_folder()}, {total}; remove with clear=all, KIND or NAME")
        return
    removed = [one for one in found if _removed(one)]
    for one in removed:
        print(f"removed {one.kind} {one.name[:SHORT]} ({_size(one.size)}, {one.about})")
    print(f"{len(removed)} removed, {_size(sum(one.size for one in removed))}")


def kept(folder: Path) -> list[Kept]:
    """What lies in `folder`/KIND/ for every kind there is, the latest first."""
    found = []
    for kind in sorted(p for p in _entries(folder) if p.is_dir() and not p.is_symlink()):
        groups: dict[str, list[Path]] = {}
        for file in sorted(_entries(kind)):
            if (match := KEY.fullmatch(file.name.lstrip("."))) and not file.is_dir():
                groups.setdefault(match[1] or match[2], []).append(file)
        found += [_kept(name, kind.name, files) for name, files in groups.items()]
    return sorted(found, key=lambda one: (one.date, one.name), reverse=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NasplugError(f"{folder} must be readable, but: {error.strerror or error}") from None


def _kept(name: str, kind: str, files: Sequence[Path]) -> Kept:
    status = [file.lstat() for file in files]
    date = datetime.fromtimestamp(max(s.st_mtime for s in status))
    return Kept(name, kind, tuple(files), sum(s.st_size for s in status), date, _about(files))


def _about(files: Iterable[Path]) -> str:
    """What the description beside, or in the first line, says in short."""
    for file in files:
        if file.suffix == ".json":
            return _summary(file, whole=True)
        if file.suffix == ".jsonl":
            return _summary(file, whole=False)
        if file.name[16:17] == "-":
            return f"fetched {file.name[17:]}"
        if file.suffix == ".checkpoint":
            return "a training that was stopped, and can go on"
    return "nothing yet: a training that was stopped"


def _summary(file: Path, whole: bool) -> str:
    try:
        with file.open() as stream:
            told: Mapping[str, Any] = json.loads(stream.read() if whole else stream.readline())
        parts = [
            f"{key} {value['_target_'].rsplit('.', 1)[-1]}"
            for key, value in told.items()
            if isinstance(value, Mapping) and "_target_" in value
        ]
        return ", ".join([*parts, *(f"{key} {told[key]}" for key in ABOUT if key in told)])
    except (OSError, ValueError, TypeError, AttributeError):
        return "its description cannot be read"


def _chosen(found: Sequence[Kept], which: str | None, older: float) -> list[Kept]:
    """Those that `which` names ("all", a kind, or the beginning of a name; None: all) and that are
    more than `older` days old."""
    limit = datetime.now() - timedelta(days=older)
    named = [
        one
        for one in found
        if which in (None, "all", one.kind)
        or (len(which or "") >= 4 and one.name.startswith(str(which)))
    ]
    if which not in (None, "all") and not named:
        kinds = ", ".join(sorted({one.kind for one in found})) or "(nothing is kept)"
        raise NasplugError(
            f"clear must be all, a kind or the first letters of a name, but nothing is called "
            f"{which!r}. Kinds: {kinds}; names: python -m nasplug mode=cache"
        )
    return [one for one in named if not older or one.date < limit]


def _removed(one: Kept) -> bool:
    """Whether it could be removed: not while a training holds its lock."""
    locks = [file for file in one.files if file.suffix == ".lock"]
    try:
        if locks:
            with exclusive_lock(locks[0], wait=False):
                _unlink(one.files)
        else:
            _unlink(one.files)
    except LockTimeout:
        print(f"kept {one.kind} {one.name[:SHORT]}: a training is at work on it")
        return False
    except OSError as error:
        raise NasplugError(
            f"{one.files[0].parent} must be writable, but: {error.strerror or error}"
        ) from None
    return True


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            file.unlink()


def _table(found: Sequence[Kept]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for title in ("name", "kind", "size", "date", "of"):
        table.add_column(title, justify="right" if title == "size" else "left", overflow="fold")
    for one in found:
        date = one.date.strftime("%Y-%m-%d %H:%M")
        table.add_row(one.name[:SHORT], one.kind, _size(one.size), date, one.about)
    return table


def _size(count: float) -> str:
    from rich.filesize import decimal

    return decimal(int(count))
