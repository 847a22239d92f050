"""Reading interactions: files in the NCF format, and tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from nasplug import NasplugError
from nasplug.contracts.types import IntArray
from nasplug_ncf.feedback import Feedback, leave_one_out, split

TRAIN, TEST, NEGATIVE = ".train.rating", ".test.rating", ".test.negative"
SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t"}
COLUMNS = {
    "user": ("user", "user_id", "userid", "uid"),
    "item": ("item", "item_id", "itemid", "iid"),
    "time": ("time", "timestamp", "date", "datetime"),
}
"""The column names, in any case, that a table may use; `user_id:token` reads as `user_id`."""


def read(path: str) -> Feedback:
    """Feedback from `path`: the prefix of NCF files, a folder that holds them, or a table's file."""
    place = Path(path).expanduser()
    if place.is_file() and place.suffix in (*SEPARATORS, ".parquet"):
        return _table(place)
    return _ncf(_prefix(place))


# ---- the NCF format: PREFIX.train.rating, PREFIX.test.rating, PREFIX.test.negative --------------


def _prefix(place: Path) -> Path:
    if place.name.endswith(TRAIN):
        return place.with_name(place.name.removesuffix(TRAIN))
    if place.is_dir():
        found = sorted(f.name.removesuffix(TRAIN) for f in place.glob(f"*{TRAIN}"))
        if len(found) == 1:
            return place / found[0]
        raise NasplugError(
            f"{place} must hold one PREFIX{TRAIN}, but holds {len(found)}"
            + (
                f"; say which: task.path={place / found[0]} (of {', '.join(found)})"
                if found
                else ""
            )
        )
    if not place.with_name(place.name + TRAIN).is_file():
        raise NasplugError(
            f"task.path must be the PREFIX of PREFIX{TRAIN} and PREFIX{TEST}, a folder with such "
            f"files, or a table (.csv, .tsv, .inter, .parquet), but there is no {place}"
        )
    return place


def _ncf(prefix: Path) -> Feedback:
    train = _ratings(prefix.with_name(prefix.name + TRAIN))
    test = _ratings(prefix.with_name(prefix.name + TEST))
    file = prefix.with_name(prefix.name + NEGATIVE)
    negatives = _negatives(file, test) if file.is_file() else None
    seen = np.concatenate(
        [train[:, 1], test[:, 1], *([] if negatives is None else [negatives.ravel()])]
    )
    users = _rows(prefix, "user", np.concatenate([train[:, 0], test[:, 0]]))
    return split(prefix.name, users, _rows(prefix, "item", seen), train, test, negatives)


def _rows(prefix: Path, what: str, index: IntArray) -> int:
    """How many rows a table for `index` has; far more than there are names is an error."""
    rows, names = int(index.max()) + 1, len(np.unique(index))
    if rows > 10 * names + 1000:
        raise NasplugError(
            f"{what}s of {prefix} must be numbered 0, 1, 2, .., but got {names} of them up to "
            f"{rows - 1}; renumber them, or give a table with columns user,item"
        )
    return rows


def _ratings(file: Path) -> IntArray:
    """The first two columns, shape (n, 2)."""
    try:
        frame = pd.read_csv(file, sep=r"\s+", header=None, usecols=[0, 1], dtype=np.int64)
    except OSError as error:
        raise NasplugError(f"{file} must be readable, but: {error.strerror}") from None
    except ValueError as error:  # pandas' parser errors, wrong dtypes and an empty file alike
        raise NasplugError(
            f"each line of {file} must begin with two whole numbers, user and item, but: {_line(error)}"
        ) from None
    pairs: IntArray = frame.to_numpy()
    if pairs.min() < 0:
        raise NasplugError(
            f"users and items of {file} must be numbered from 0, but got {pairs.min()}"
        )
    return pairs


def _negatives(file: Path, test: IntArray) -> IntArray:
    """The candidates of each held-out pair, shape (m, c), -1 behind a shorter line's end."""
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    if len(lines) != len(test):
        raise NasplugError(
            f"{file} must have a line for each of the {len(test)} held-out interactions, but has "
            f"{len(lines)}"
        )
    rows = []
    for number, line in enumerate(lines):
        numbers = re.fullmatch(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)((?:\s+\d+)+)\s*", line)
        if numbers is None or [int(numbers[1]), int(numbers[2])] != test[number].tolist():
            user, item = test[number]
            raise NasplugError(
                f"line {number + 1} of {file} must read ({user},{item}) and then items, as its "
                f"held-out interaction does, but got {line[:40]!r}"
            )
        rows.append(np.array(numbers[3].split(), np.int64))
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(r, (0, longest - len(r)), constant_values=-1) for r in rows])


# ---- tables -------------------------------------------------------------------------------------


def _table(file: Path) -> Feedback:
    try:
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file)
        else:
            frame = pd.read_csv(file, sep=SEPARATORS[file.suffix])
    except ImportError:
        raise NasplugError(f"reading {file} needs pyarrow: pip install pyarrow") from None
    except (OSError, ValueError) as error:
        raise NasplugError(f"{file} must be a table, but: {_line(error)}") from None
    names = {str(name).split(":")[0].strip().lower(): name for name in reversed(frame.columns)}
    found = {
        role: next((names[alias] for alias in aliases if alias in names), None)
        for role, aliases in COLUMNS.items()
    }
    if found["user"] is None or found["item"] is None:
        raise NasplugError(
            f"{file} must have a header line with the columns user and item, and may have time, but "
            f"has {', '.join(map(str, frame.columns))}"
        )
    used = frame[[name for name in found.values() if name is not None]]
    missing = np.flatnonzero(used.isna().any(axis=1))
    if len(used) == 0 or len(missing):
        raise NasplugError(
            f"every row of {file} must name a user and an item, but "
            + (f"row {missing[0] + 1} leaves a cell empty" if len(missing) else "there is no row")
        )
    user, _ = pd.factorize(frame[found["user"]], sort=True)
    item, _ = pd.factorize(frame[found["item"]], sort=True)
    time = None if found["time"] is None else pd.factorize(frame[found["time"]], sort=True)[0]
    return leave_one_out(file.stem, user.astype(np.int64), item.astype(np.int64), time)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
