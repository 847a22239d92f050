"""Reading a folder of recordings with transcripts or labels, and splitting it."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from nasplug import NasplugError
from nasplug_speech.files import File, files
from nasplug_speech.recordings import Recording

log = logging.getLogger(__name__)

SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
"""What a split may be called, as a folder or in the column `split`."""
KNOWN = {word: split for split, words in SPLITS.items() for word in words}
LISTS = {"transcripts.csv": ",", "transcripts.tsv": "\t"}
NAMED = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)")
"""LABEL_SPEAKER_INDEX, as in the free spoken digit dataset."""
LEAST = 10
"""Recordings to train on: from fewer nothing can be learnt."""

Corpus = Mapping[str, Sequence[Recording]]
"""Recordings by the names of `SPLITS`."""


def read_transcripts(path: str, held_out: int) -> Corpus:
    """The recordings of `path` with what is said in them.

    `path` is a folder or a zip file with FILE.txt beside every FILE.wav, or with tables
    transcripts.csv (or .tsv) of the columns `file`, relative to the table, and `text`, and `split` if
    one likes. Splits are folders train, val (valid, validation, dev) and test, or the column. Without
    any, one of `held_out` recordings validates and as many test, always the same.
    """
    found = files(path)
    waves = _waves(found, path)
    tables = [f for n, f in found.items() if PurePosixPath(n).name in LISTS]
    told: dict[str, tuple[str, str]] = {}
    for table in tables:
        told.update(_table(table, waves))
    for name in waves if not tables else ():
        beside = found.get(str(PurePosixPath(name).with_suffix(".txt")))
        if beside is None:
            raise NasplugError(
                f"{name} must have its transcript, {PurePosixPath(name).stem}.txt, beside it, or in "
                f"transcripts.csv; {path} has no such file; of recordings with labels, type "
                "task.answers=labels"
            )
        told[name] = _tidy(beside.text()), ""
    if extra := [n for n in waves if n not in told]:
        log.warning(
            "%d recordings are in no table, and are left out, e.g. %s", len(extra), extra[0]
        )
    for name, (text, _) in told.items():
        if not text:
            raise NasplugError(f"{name} must have a transcript, but it is empty; leave it out")
    splits = {name: KNOWN[split] if split else _folder(name) for name, (_, split) in told.items()}
    recordings = [_recording(waves[name], text) for name, (text, _) in told.items()]
    return _split(recordings, splits, held_out, path)


def read_labels(path: str, held_out: int) -> Corpus:
    """The recordings of `path` with their labels.

    They are in folders named as their labels, CLASS/*.wav or train/CLASS/*.wav, val/.., test/..; or
    they are named LABEL_SPEAKER_INDEX.wav. Without folders of splits, of every label (and speaker, if
    names tell it) one of `held_out` tests, those of the least index, as many validate, and the
    others train.
    """
    waves = _waves(files(path), path)
    named = {n: NAMED.fullmatch(PurePosixPath(n).stem) for n in waves}
    recordings = []
    splits: dict[str, str] = {}
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name, match in named.items():
        split = _folder(name)
        parts = PurePosixPath(name).parts[1 if split else 0 :]
        if all(named.values()) and match is not None:
            label, speaker, index = match["label"], match["speaker"], int(match["index"])
        elif len(parts) > 1:
            label, speaker, index = parts[0], "", 0
        else:
            raise NasplugError(
                f"{name} must be in a folder named as its label, or be named LABEL_SPEAKER_INDEX.wav; "
                "of recordings with transcripts, type task.answers=transcripts"
            )
        splits[name] = split
        groups.setdefault((label, speaker), []).append((index, name))
        recordings.append(_recording(waves[name], label, speaker))
    if not any(splits.values()):
        splits = _by_index(groups.values(), held_out)
    made = _split(recordings, splits, held_out, path)
    labels = {r.answer for r in made["train"]}
    for split, part in made.items():
        for recording in part:
            if recording.answer not in labels:
                raise NasplugError(
                    f"every label must be in the training data, but {recording.answer!r} of "
                    f"{recording.name} is in the {split} data alone"
                )
    if len(labels) < 2:
        raise NasplugError(
            f"recordings of {path} must have at least two labels, but all have {min(labels)!r}; give "
            "the folder that holds a folder for each label"
        )
    return made


def _by_index(groups: Collection[list[tuple[int, str]]], held_out: int) -> dict[str, str]:
    """Of each group the least indices test, the next validate; {} where all groups are too small."""
    splits: dict[str, str] = {}
    if all(len(group) < held_out for group in groups):
        return splits
    for group in groups:
        count = len(group) // held_out
        for place, (_, name) in enumerate(sorted(group)):
            splits[name] = ("test", "validation", "train")[min(2, place // count if count else 2)]
    return splits


def _split(
    recordings: Sequence[Recording], splits: Mapping[str, str], held_out: int, path: str
) -> dict[str, list[Recording]]:
    """The recordings by split; where none is told, one of `held_out` validates and one tests."""
    if any(splits.values()):
        found: dict[str, list[Recording]] = {}
        for recording in recordings:
            found.setdefault(splits[recording.name] or "train", []).append(recording)
    else:
        order = np.random.default_rng(0).permutation(len(recordings))
        share = max(1, len(recordings) // held_out)
        cuts = {"validation": (0, share), "test": (share, 2 * share), "train": (2 * share, None)}
        found = {s: [recordings[i] for i in sorted(order[a:b])] for s, (a, b) in cuts.items()}
    for split, least in (("train", LEAST), ("validation", 1)):
        if len(found.get(split, ())) < least:
            raise NasplugError(
                f"{path} must have at least {least} recordings of {split} data, but has "
                f"{len(found.get(split, ()))}; it needs wav files in the folder {split}, or "
                f"more of them"
            )
    return found


def _waves(found: Mapping[str, File], path: str) -> dict[str, File]:
    waves = {n: f for n, f in found.items() if n.lower().endswith(".wav")}
    if not waves:
        raise NasplugError(
            f"{path} must hold wav files, but has {', '.join(list(found)[:5]) or 'no file'}"
        )
    return waves


def _table(table: File, waves: Mapping[str, File]) -> dict[str, tuple[str, str]]:
    """Transcript and split (or "") of every recording that a table names."""
    base = PurePosixPath(table.name)
    try:
        rows = list(csv.reader(io.StringIO(table.text(), newline=""), delimiter=LISTS[base.name]))
    except csv.Error as error:
        raise NasplugError(f"{table.name} must be a table, but: {error}") from None
    header = [cell.strip() for cell in rows[0]] if rows else []
    if not {"file", "text"} <= set(header):
        raise NasplugError(
            f"{table.name} must have the columns file and text, but has {', '.join(header) or 'none'}"
        )
    found = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise NasplugError(
                f"every row of {table.name} must have {len(header)} cells, but row {number} has "
                f"{len(row)}; a cell with a separator in it is quoted"
            )
        cells = dict(zip(header, row, strict=True))
        name = str(base.parent / cells["file"].strip())
        if name not in waves:
            raise NasplugError(
                f"row {number} of {table.name} must name a wav file beside it, but there is no {name}"
            )
        split = cells.get("split", "").strip().lower()
        if split and split not in KNOWN:
            raise NasplugError(
                f"split of {table.name} must be one of {', '.join(KNOWN)}, but row {number} has "
                f"{split!r:.40}"
            )
        found[name] = _tidy(cells["text"]), split
    return found


def _folder(name: str) -> str:
    """The split whose folder a file is in, or ""."""
    parts = PurePosixPath(name).parts
    return KNOWN.get(parts[0].lower(), "") if len(parts) > 1 else ""


def _recording(file: File, answer: str, speaker: str = "") -> Recording:
    return Recording(file.name, answer, speaker, file.stamp, file.opened)


def _tidy(text: str) -> str:
    return " ".join(text.split())
