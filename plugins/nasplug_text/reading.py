"""Reading sentence pairs: a file for each language, or tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nasplug import NasplugError
from nasplug_text.files import TABLES, read_lines, read_table, suffix, tidy
from nasplug_text.pairs import Corpus, Pairs

log = logging.getLogger(__name__)

SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
"""What a split may be called, in a file's name or the column `split`."""
LEAST = 10
"""Training pairs: of fewer nothing can be learnt."""
SHOWN = 12


def read(path: str, source: str, target: str) -> Corpus:
    """The pairs in `path`, of the languages `source` and `target`.

    `path` is a folder, or the prefix of the names of files: train.SOURCE and train.TARGET, val..
    (or valid, dev), test..; more may stand between (test_2016.de), and .gz behind. Or it is a table
    with the columns SOURCE, TARGET (or `source`, `target`) and `split`, or a folder of tables
    train.csv, val.csv, ..; .tsv and .gz too. Line i of one side is the translation of line i of the
    other, in UTF-8; white space is made single. Pairs with an empty side are left out, and counted.
    """
    if source == target:
        raise NasplugError(f"source and target must be two languages, but both are {source!r}")
    place = Path(path).expanduser()
    if place.is_file() and suffix(place) in TABLES:
        found = _split_table(place, source, target)
    else:
        found = _files(place, source, target)
    for split in ("train", "validation"):
        if split not in found:
            names = ", ".join(f"{n}.{source}" for n in SPLITS[split])
            raise NasplugError(
                f"{path} must hold {split} data ({names}, or a table with such rows); it has "
                f"{listed(place)}"
            )
    kept = {split: _whole(pairs, f"{split} data of {path}") for split, pairs in found.items()}
    if len(kept["train"]) < LEAST:
        raise NasplugError(
            f"{path} must have at least {LEAST} training pairs, but has {len(kept['train'])}"
        )
    return Corpus(place.name or str(place), kept["train"], kept["validation"], kept.get("test"))


def _files(place: Path, source: str, target: str) -> Mapping[str, Pairs]:
    """Of a folder, or of files whose names begin with the last part of `place`."""
    names = named_files(place)
    if not names:
        raise NasplugError(
            f"task.path must be a folder, the prefix of files such as train.{source}, or a table "
            f"(.csv, .tsv), but there is no {place}"
        )
    found = {}
    for split, words in SPLITS.items():
        sides = _sides(names, words, source, target, place)
        table = _choose(names, words, "(csv|tsv)", split)
        if sides is not None:
            one, other = (read_lines(file) for file in sides)
            if len(one) != len(other):
                raise NasplugError(
                    f"both sides must have as many lines, but {sides[0]} has {len(one)} and {sides[1]} "
                    f"has {len(other)}"
                )
            found[split] = Pairs(one, other)
        elif table is not None:
            header, rows = read_table(table)
            found[split] = _columns(header, rows, table, source, target)
    return found


def named_files(place: Path) -> dict[str, Path]:
    """Files by the part of their names that tells split and language."""
    folder, prefix = (place, "") if place.is_dir() else (place.parent, place.name)
    try:
        files = sorted(f for f in folder.iterdir() if f.is_file() and f.name.startswith(prefix))
    except OSError:
        return {}
    return {f.name.removeprefix(prefix).lstrip("._-"): f for f in files}


def _sides(
    names: Mapping[str, Path], words: Sequence[str], source: str, target: str, place: Path
) -> tuple[Path, Path] | None:
    """The files of a split's two sides; None where it has neither."""
    one, other = (matching(names, words, re.escape(language)) for language in (source, target))
    shared = [stem for stem in one if stem in other]
    if shared:
        if len(shared) > 1:
            log.warning("%s is read, of %s", shared[0], ", ".join(shared))
        return one[shared[0]], other[shared[0]]
    if one or other:
        stem, file = next(iter((one or other).items()))
        missing = f"{stem}.{target if one else source}"
        raise NasplugError(
            f"{file.name} must have the other side, {missing}, beside it; {place} has "
            f"{listed(place)}"
        )
    return None


def matching(names: Mapping[str, Path], words: Sequence[str], end: str) -> dict[str, Path]:
    """Files named WORD.END, WORD_MORE.END, .., with or without .gz, by the name before the end; those
    named WORD alone first."""
    pattern = re.compile(rf"(({'|'.join(words)})([._-].*)?)\.({end})(\.gz)?", re.IGNORECASE)
    found = [
        (m[3] is not None, m[1], file) for n, file in names.items() if (m := pattern.fullmatch(n))
    ]
    return {stem: file for _, stem, file in sorted(found)}


def _choose(names: Mapping[str, Path], words: Sequence[str], end: str, split: str) -> Path | None:
    found = list(matching(names, words, end).values())
    if len(found) > 1:
        log.warning("%s is read for %s, of %d files", found[0].name, split, len(found))
    return found[0] if found else None


def _split_table(file: Path, source: str, target: str) -> Mapping[str, Pairs]:
    """Of one table, whose column `split` tells them apart."""
    header, rows = read_table(file)
    if "split" not in header:
        raise NasplugError(
            f"{file} must have a column split, of train, validation and test, but has "
            f"{', '.join(header)}; or name the folder of train.csv and val.csv"
        )
    place = header.index("split")
    known = {word: split for split, words in SPLITS.items() for word in words}
    sorted_: dict[str, list[list[str]]] = {}
    for number, row in enumerate(rows, start=1):
        word = row[place].strip().lower()
        if word not in known:
            raise NasplugError(
                f"split of {file} must be one of {', '.join(known)}, but row {number} has "
                f"{row[place]!r:.40}"
            )
        sorted_.setdefault(known[word], []).append(row)
    return {split: _columns(header, part, file, source, target) for split, part in sorted_.items()}


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], file: Path, source: str, target: str
) -> Pairs:
    sides = []
    for name, word in ((source, "source"), (target, "target")):
        column = next((n for n in (name, word) if n in header), None)
        if column is None:
            raise NasplugError(
                f"{file} must have a column {name} (or {word}), but has {', '.join(header)}; "
                f"type task.{word}=COLUMN"
            )
        place = header.index(column)
        sides.append([tidy(row[place]) for row in rows])
    return Pairs(*sides)


def _whole(pairs: Pairs, what: str) -> Pairs:
    """Those without an empty side."""
    for side, name in ((pairs.source, "source"), (pairs.target, "target")):
        if not any(side):
            raise NasplugError(f"the {what} must hold sentences, but every {name} line is empty")
    kept = [(s, t) for s, t in zip(pairs.source, pairs.target, strict=True) if s and t]
    if not kept:
        raise NasplugError(f"the {what} must hold pairs, but one side of each is empty")
    if len(kept) < len(pairs):
        log.warning(
            "%d pairs of the %s have an empty side and are left out", len(pairs) - len(kept), what
        )
    source, target = zip(*kept, strict=True)
    return Pairs(source, target)


def listed(place: Path) -> str:
    """The files that are there, the first of them."""
    names = [file.name for file in named_files(place).values()] or [place.name]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
