"""A damaged journal: what is whole is kept, what is not is put beside, and the original stays."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from nasplug.contracts.space import SearchSpace
from nasplug.engine.journal import Contents, lines
from nasplug.toolkit.system.files import copy, replacing


class Dropped(NamedTuple):
    """A line that is not whole."""

    number: int
    start: int
    """Its first byte in the original, and the one after its last."""

    end: int
    why: str


class Repair(NamedTuple):
    """What was done: nothing, and neither file is there, where `dropped` is empty."""

    records: int
    """How many whole records the journal has."""

    dropped: list[Dropped]
    original: Path
    """The journal as it was."""

    beside: Path
    """The lines that were dropped."""


def repair(path: Path, space: SearchSpace) -> Repair:
    """Keep every whole line of the journal `path` of a run in `space`; the caller holds its folder.

    Killed at any moment it leaves the journal as it was or as it shall be, and repeats no harm.
    """
    found, dropped, end, number = Contents(), [], 0, 0
    for number, line, problem in lines(path, space, found):
        start, end = end, end + len(line)
        if problem:
            dropped.append(Dropped(number, start, end, problem))
    if path.stat().st_size > end:
        dropped.append(Dropped(number + 1, end, path.stat().st_size, "it is not complete"))
    done = Repair(sum(map(len, found.records.values())), dropped, *_unused(path))
    if not dropped:
        return done
    kept, place = [], 0
    for gap in dropped:
        kept.append((place, gap.start))
        place = gap.end
    _write(done.beside, path, [(gap.start, gap.end) for gap in dropped])
    try:
        os.link(path, done.original)
    except OSError:  # a file system without links
        _write(done.original, path, [(0, path.stat().st_size)])
    _write(path, path, [*kept, (place, path.stat().st_size)])
    return done


def _unused(path: Path) -> tuple[Path, Path]:
    """Names of this moment for the original and for what is dropped, which no file has."""
    moment, count = f"{datetime.now():%Y-%m-%d_%H-%M-%S}", 1
    while True:
        end = moment if count == 1 else f"{moment}_{count}"
        original = path.with_name(f"{path.stem}.before-repair-{end}")
        beside = path.with_name(f"{path.stem}.dropped-{end}")
        if not original.exists() and not beside.exists():
            return original, beside
        count += 1


def _write(target: Path, source: Path, parts: list[tuple[int, int]]) -> None:
    """Put `parts` of `source`, first byte to the one after the last, together as `target`."""
    with source.open("rb") as old, replacing(target) as temporary, temporary.open("wb") as new:
        for start, end in parts:
            old.seek(start)
            copy(old, new, end - start)
