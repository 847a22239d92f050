"""Reading texts with labels: tables, folders of classes, or a label and a text a line."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nasplug import NasplugError
from nasplug_text.classification.labelled import Labelled, LabelledCorpus
from nasplug_text.files import TABLES, raw_lines, read_table, suffix, tidy
from nasplug_text.reading import LEAST, SHOWN, SPLITS, named_files

log = logging.getLogger(__name__)

SECOND = "second"
"""The column of the second text, where the user names none; a table may lack it."""
Columns = tuple[str, str, str]
"""What the columns of a table are called: the text, the second text of a pair, the label."""


def read(path: str, columns: Columns, validation_share: float) -> LabelledCorpus:
    """The labelled texts in `path`, which is one of

    - a table (.csv, .tsv) with the columns text and label, a second text of pairs where it has such
      a column, and `split` (train, validation, test), if it has one;
    - a folder with train/CLASS/*.txt, and val/CLASS/*.txt, test/CLASS/*.txt;
    - a folder, or the prefix of the names of files (`data/TREC`), of tables, or of lines that are a
      label, a space and a text: train.csv, TREC.train.all, TREC.test.all, ..; or one such file.

    All may be gzipped (.gz). Text is UTF-8, else read as Latin-1, and a warning says so. Where there
    is no validation data, `validation_share` of each class of the training data is set aside, always
    the same.
    """
    place = Path(path).expanduser()
    found = dict(_splits(place, columns))
    if "train" not in found:
        raise NasplugError(
            f"{path} must hold training data: train.csv, train.txt with a label and a text a line, or "
            f"train/CLASS/*.txt; it has {_listed(place)}"
        )
    train, name = found["train"], place.name or str(place)
    labels = _classes(train, path)
    if "validation" not in found:
        found["train"], found["validation"] = train.parted(validation_share)
        log.info(
            "%s has no validation data: %g of each class of the training data are set aside, %d texts",
            path, validation_share, len(found["validation"]),
        )  # fmt: skip
    for split, part in found.items():
        strange = sorted(set(part.labels) - set(labels))
        if strange:
            raise NasplugError(
                f"every label of the {split} data of {path} must be in its training data, but "
                f"{', '.join(map(repr, strange[:5]))} is not; there are {', '.join(labels[:SHOWN])}"
            )
        if (part.seconds is None) != (train.seconds is None):
            raise NasplugError(
                f"all of {path} must be pairs of texts, or none, but {split} and train differ"
            )
    return LabelledCorpus(name, labels, found["train"], found["validation"], found.get("test"))


def _classes(train: Labelled, path: str) -> tuple[str, ...]:
    """The labels of the training data: numbers in their order, words in the alphabet's."""
    if len(train) < LEAST:
        raise NasplugError(
            f"{path} must have at least {LEAST} training texts, but has {len(train)}"
        )
    labels = set(train.labels)
    if len(labels) < 2:
        raise NasplugError(
            f"{path} must have at least two classes, but every label is {labels.pop()!r:.40}"
        )
    if len(labels) > len(train) / 2:
        raise NasplugError(
            f"labels must repeat, but {path} has {len(labels)} in {len(train)} texts, such as "
            f"{min(labels)!r:.40}; a line begins with its label, and a table has a column of labels: "
            "task.label=COLUMN"
        )
    if all(re.fullmatch(r"-?\d+", label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _splits(place: Path, columns: Columns) -> Mapping[str, Labelled]:
    if place.is_file():
        return _one_file(place, columns)
    folders = _class_folders(place)
    if folders:
        return folders
    names = named_files(place)
    if not names:
        raise NasplugError(
            "task.path must be a table, a folder, or the prefix of files such as train.csv, but there is "
            f"no {place}"
        )
    found = {}
    for split, words in SPLITS.items():
        pattern = re.compile(rf"({'|'.join(words)})([._-].*)?", re.IGNORECASE)
        files = [file for name, file in sorted(names.items()) if pattern.fullmatch(name)]
        if len(files) > 1:
            log.warning("%s is read for %s, of %d files", files[0].name, split, len(files))
        if files:
            found[split] = _file(files[0], columns)
    return found


def _one_file(file: Path, columns: Columns) -> Mapping[str, Labelled]:
    """A table whose column `split` tells the sets apart, or training data alone."""
    if suffix(file) not in TABLES:
        return {"train": _lines(file)}
    header, rows = read_table(file, latin1=True)
    if "split" not in header:
        return {"train": _columns(header, rows, file, columns)}
    place, sorted_ = header.index("split"), dict[str, list[list[str]]]()
    known = {word: split for split, words in SPLITS.items() for word in words}
    for number, row in enumerate(rows, start=1):
        word = row[place].strip().lower()
        if word not in known:
            raise NasplugError(
                f"split of {file} must be one of {', '.join(known)}, but row {number} has "
                f"{row[place]!r:.40}"
            )
        sorted_.setdefault(known[word], []).append(row)
    return {split: _columns(header, part, file, columns) for split, part in sorted_.items()}


def _file(file: Path, columns: Columns) -> Labelled:
    if suffix(file) in TABLES:
        return _columns(*read_table(file, latin1=True), file, columns)
    return _lines(file)


def _lines(file: Path) -> Labelled:
    """A label and a text a line; before the label fastText's `__label__` may stand."""
    texts, labels = [], []
    for number, line in enumerate(raw_lines(file, latin1=True), start=1):
        words = line.split(maxsplit=1)
        if len(words) == 1:
            raise NasplugError(
                f"every line of {file} must be a label, a space and a text, but line {number} is "
                f"{line.strip()!r:.60}"
            )
        if words:
            labels.append(words[0].removeprefix("__label__"))
            texts.append(tidy(words[1]))
    return Labelled(texts, None, labels)


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], file: Path, columns: Columns
) -> Labelled:
    text, second, label = columns
    for name, knob in ((text, "text"), (label, "label"), (second, "second")):
        if name not in header and name != SECOND:
            raise NasplugError(
                f"{file} must have a column {name}, but has {', '.join(header)}; type "
                f"task.{knob}=COLUMN"
            )
    texts, labels = ([tidy(row[header.index(name)]) for row in rows] for name in (text, label))
    if "" in labels:
        raise NasplugError(f"row {labels.index('') + 1} of {file} must have a label, but has none")
    seconds = None
    if second in header:
        seconds = [tidy(row[header.index(second)]) for row in rows]
    return Labelled(texts, seconds, labels)


def _class_folders(place: Path) -> Mapping[str, Labelled]:
    """Of split/CLASS/*.txt; nothing where `place` has no such folders."""
    found = {}
    for split, words in SPLITS.items():
        folder = next((place / word for word in words if (place / word).is_dir()), None)
        if folder is None:
            continue
        texts, labels = [], []
        for inner in sorted(f for f in folder.iterdir() if f.is_dir()):
            files = sorted(f for f in inner.iterdir() if suffix(f) == ".txt")
            texts += [tidy("\n".join(raw_lines(file, latin1=True))) for file in files]
            labels += [inner.name] * len(files)
        if not texts:
            raise NasplugError(
                f"{folder} must have a folder for each class, with texts in it: CLASS/*.txt"
            )
        found[split] = Labelled(texts, None, labels)
    return found


def _listed(place: Path) -> str:
    """What is there, the first of it."""
    names = sorted(f.name for f in place.iterdir()) if place.is_dir() else []
    names = names or sorted(f.name for f in named_files(place).values()) or [place.name]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
