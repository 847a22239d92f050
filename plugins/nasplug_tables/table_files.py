"""The files that a table may be in, each read as a data frame of one row an architecture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasplug import NasplugError, unknown
from nasplug_tables import hwnas, nasbench101_records, nats

if TYPE_CHECKING:
    import pandas as pd

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
    folder = path.is_dir() and (path / nats.META).is_file()
    if not path.is_file() and not folder:
        raise NasplugError(
            "evaluator.path must be a CSV, parquet or JSON file of measurements, or one of "
            f"NAS-Bench-101, NATS-Bench (a folder, too) or HW-NAS-Bench, but {path} is none"
        )
    if form is None:
        ending = [name for suffix, name in SUFFIXES.items() if path.name.endswith(suffix)]
        form = "nats" if folder else next(iter(ending), "csv")
    if form not in READERS:
        raise unknown("format of a table", form, READERS)
    return READERS[form](path, texts)


def _csv(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=dict.fromkeys(texts, "str"), skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' own are ValueErrors
        raise NasplugError(
            f"{path} must be a CSV file, but cannot be read: {_line(error)}"
        ) from None


def _parquet(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise NasplugError(f"to read {path}, type: pip install pyarrow") from None
    except (ValueError, OSError) as error:  # pyarrow's own are ValueErrors
        raise NasplugError(f"{path} must be parquet, but cannot be read: {_line(error)}") from None


def _json(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    """An object of architectures, each an object of metrics, as NAS-Bench-Macro is published."""
    import pandas as pd

    try:
        whole = json.loads(path.read_text())
        rows = [{"architecture": arch, **values} for arch, values in whole.items()]
    except (ValueError, AttributeError, TypeError):
        raise NasplugError(
            f'{path} must be JSON like {{"ARCHITECTURE": {{"METRIC": 1.5}}}}, but is not'
        ) from None
    return pd.DataFrame(rows)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


READERS: dict[str, Callable[[Path, Sequence[str]], pd.DataFrame]] = {
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "nats": lambda path, _: nats.read(path),
    "hwnas": lambda path, _: hwnas.read(path),
    "nasbench101": lambda path, _: nasbench101_records.read(path),
}
