"""Files of measured latencies, and what the names of published files say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import FloatArray
from nasplug.toolkit.system.cache import cache_folder
from nasplug.toolkit.system.download import download
from nasplug_hat.latency.features import NAMES

SCALES = {"raspberrypi": 5000.0, "xeon": 300.0, "titan": 200.0}
"""Device, as published file names have it, to the milliseconds that its predictors count in."""

PUBLISHED = tuple(
    f"{task}_{device}"
    for task, devices in {
        "wmt14ende": ("cpu_raspberrypi", "cpu_xeon", "gpu_titanxp"),
        "wmt14enfr": ("cpu_raspberrypi", "cpu_xeon", "gpu_titanxp"),
        "wmt19ende": ("gpu_titanxp",),
        "iwslt14deen": ("gpu_titanxp",),
    }.items()
    for device in devices
)
"""Predictors that are published, by the names of their files."""

ADDRESS = (
    "https://raw.githubusercontent.com/mit-han-lab/hardware-aware-transformers/master/"
    "latency_dataset/predictors"
)
"""Where they are."""

ENCODER, DECODER = "latency_mean_encoder", "latency_mean_decoder"
"""Columns of milliseconds, whose sum is the latency."""

FEWEST = 20
"""Rows that a file of measurements must have."""


def existing(path: Path, what: str) -> None:
    """NasplugError unless `path` is a file with something in it; `what` says what it must be."""
    try:
        fault = "" if path.is_file() and path.stat().st_size else "is no file, or empty"
    except (OSError, ValueError) as error:  # no permission; a name that no file can have
        fault = f"cannot be read: {error}"
    if fault:
        raise NasplugError(f"file must be {what}, but {path} {fault}")


def located(file: str) -> Path:
    """The path of `file`: a .pt or .csv file of the user's, or a published name, which is fetched once."""
    path = Path(file).expanduser()
    if path.suffix in (".pt", ".csv"):
        return path
    if file not in PUBLISHED:
        known = f"file must end in .pt or .csv, or be one of {', '.join(PUBLISHED)}"
        raise NasplugError(f"{known}, but got {file}")
    what = "the published latency predictor"
    return download(f"{ADDRESS}/{file}.pt", cache_folder("latency"), what, "file")


def device_scale(name: str) -> float | None:
    """Milliseconds that the predictor in a file called `name` counts in; None where that is unknown."""
    return next((scale for device, scale in SCALES.items() if device in name.lower()), None)


def read_measurements(path: Path) -> tuple[FloatArray, FloatArray]:
    """Features (n, 10) and latencies (n,), in milliseconds, of a published CSV file or one like it.

    It has the columns `NAMES`, `latency_mean_encoder` and `latency_mean_decoder`; others, such as the
    standard deviations of the published files, are not read.
    """
    what = f"a CSV file with the columns {NAMES[0]} .. {NAMES[-1]}, {ENCODER} and {DECODER}"
    existing(path, what)
    wanted = [*NAMES, ENCODER, DECODER]
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = csv.reader(lines)
            header = next(rows)
            missing = [name for name in wanted if name not in header]
            if missing:
                raise NasplugError(f"file must be {what}, but {path} has no column {missing[0]}")
            places = [header.index(name) for name in wanted]
            table = np.array([[float(row[i]) for i in places] for row in rows if row])
    except (OSError, ValueError, IndexError, StopIteration, csv.Error) as error:
        reason = " ".join(str(error).split())[:200] or "it has no rows"
        raise NasplugError(f"file must be {what}, but {path} cannot be read: {reason}") from None
    if len(table) < FEWEST:
        raise NasplugError(
            f"file must have at least {FEWEST} rows of measurements, but {path} has {len(table)}"
        )
    if (
        not np.isfinite(table).all()
        or (table[:, -2:] < 0).any()
        or (table[:, -2:].sum(1) == 0).any()
    ):
        raise NasplugError(
            f"file must be {what} in positive finite numbers, but some of {path} are not"
        )
    return table[:, :-2], table[:, -2:].sum(axis=1)
