"""Reads the file of NAS-Bench-101 (Ying et al., ICML 2019), without TensorFlow."""

from __future__ import annotations

import base64
import json
import logging
import struct
from collections.abc import Iterator
from os import SEEK_CUR
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasplug import NasplugError
from nasplug_tables.readers.opening import reason

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

EVALUATIONS, PARAMS = 1, 2
"""Numbers of the fields of the benchmark's message of one training."""

FIELDS = {
    2: "training_seconds",
    3: "train_accuracy",
    4: "validation_accuracy",
    5: "test_accuracy",
}
"""Numbers of the fields of an evaluation, the last of which is that of the trained network."""

WIDTHS = {1: 8, 5: 4}
"""Bytes of the wire types of fixed width."""


def read(path: Path) -> pd.DataFrame:
    """A row an architecture, from `nasbench_only108.tfrecord` or `nasbench_full.tfrecord`.

    Columns: `architecture`, `params`, and by epochs of training the mean of the repeats, e.g.
    `validation_accuracy_e108`, `test_accuracy_e108` (0 to 1) and `training_seconds_e108`.
    """
    import pandas as pd

    log.info("%s: reading it, once; write it to a parquet file to have it faster", path)
    sums: dict[str, dict[str, list[float]]] = {}
    try:
        for record in _records(path):
            _, epochs, bits, operations, message = json.loads(record)
            row = sums.setdefault(f"{bits} {operations}", {})
            for name, value in _metrics(base64.b64decode(message), epochs):
                row.setdefault(name, []).append(value)
    except OSError as error:
        raise NasplugError(f"{path} cannot be read: {reason(error)}") from None
    except Exception:  # whatever is no record of the benchmark
        raise NasplugError(f"{path} must be a file of NAS-Bench-101, but is not") from None
    rows = [
        {"architecture": arch, **{name: sum(found) / len(found) for name, found in row.items()}}
        for arch, row in sums.items()
    ]
    return pd.DataFrame(rows)


def _records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file: length, its checksum, the bytes, their checksum."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            if file.tell() + length + 4 > size:
                raise ValueError("cut off")
            yield file.read(length)
            file.seek(4, SEEK_CUR)


def _metrics(message: bytes, epochs: int) -> Iterator[tuple[str, float]]:
    last: dict[int, Any] = {}
    for number, value in _fields(message):
        if number == EVALUATIONS:
            last = dict(_fields(value))
        elif number == PARAMS:
            yield "params", float(value)
    for number, name in FIELDS.items():
        yield f"{name}_e{epochs}", struct.unpack("<d", last[number])[0]


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a protocol buffer; bytes where it is no integer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length, at = _varint(message, at) if kind == 2 else (WIDTHS[kind], at)
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The integer at a place, seven bits a byte, the lowest first; and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
