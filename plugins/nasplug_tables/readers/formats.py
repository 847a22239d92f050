"""The files that a table may be in, each read as a data frame of one row an architecture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasplug import NasplugError, unknown
from nasplug_tables.readers import hwnas, nasbench101_records, nats
from nasplug_tables.readers.opening import checked, reading, shortened

if TYPE_CHECKING:
    import pandas as pd

FILES = (
    "a CSV, parquet or JSON file of measurements, or one of NAS-Bench-101, NATS-Bench (a folder, too) "
    "or HW-NAS-Bench"
)
SUFFIXES = {
    ".pickle.pbz2": "nats",
    ".pickle": "hwnas",
    ".pkl": "hwnas",
    ".tfrecord": "nasbench101",
    ".parquet": "parquet",
    ".json": "json",
}
"""By how a file's name ends its format; any other is CSV, packed or not."""


def read(path: Path, form: str | None, texts: Sequence[str]) -> pd.DataFrame:
    """The table in `path`, of the format `form` or what its name says; the columns `texts` of a CSV
    are kept as they are written, even where they look like numbers."""
    folder = nats.is_folder(path)
    if not folder:
        checked(path, "evaluator.path", FILES)
    if form is None:
        ending = [name for suffix, name in SUFFIXES.items() if path.name.endswith(suffix)]
        form = "nats" if folder else next(iter(ending), "csv")
    if form not in READERS:
        raise unknown("format of a table", form, READERS)
    frame = READERS[form](path, texts)
    with reading(path, "a table of named columns"):
        frame.columns = frame.columns.map(str)
        if not frame.columns.is_unique:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise NasplugError(
                f"{path} must name every column once, but has two of {shortened(twice)!r}"
            )
    return frame


def _csv(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    with reading(path, "a CSV file"):
        return pd.read_csv(
            path, dtype=dict.fromkeys(texts, "str"), skipinitialspace=True, low_memory=False
        )


def _parquet(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    with reading(path, "parquet"):
        try:
            frame = pd.read_parquet(path)
        except ImportError:
            raise NasplugError(f"to read {path}, type: pip install pyarrow") from None
        return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _json(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    """An object of architectures, each an object of metrics, as NAS-Bench-Macro is published."""
    import pandas as pd

    form = 'JSON like {"ARCHITECTURE": {"METRIC": 1.5}}'
    with reading(path, form):
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(whole, dict) or not whole:
            raise NasplugError(f"{path} must be {form}, but is not")
        for arch, values in whole.items():
            if not isinstance(values, dict):
                raise NasplugError(
                    f"{path} must be {form}, but {shortened(arch)!r} has a {type(values).__name__}"
                )
        return pd.DataFrame([{**values, "architecture": arch} for arch, values in whole.items()])


READERS: dict[str, Callable[[Path, Sequence[str]], pd.DataFrame]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "nats": lambda path, _: nats.read(path),
    "hwnas": lambda path, _: hwnas.read(path),
    "nasbench101": lambda path, _: nasbench101_records.read(path),
}
