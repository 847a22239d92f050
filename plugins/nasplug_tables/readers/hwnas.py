"""Reads HW-NAS-Bench (Li et al., ICLR 2021): measured costs of the cells of NAS-Bench-201."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import FloatArray
from nasplug_tables.readers.nats import DATASETS
from nasplug_tables.readers.opening import reading, shortened
from nasplug_tables.readers.safe_pickle import load

if TYPE_CHECKING:
    import pandas as pd

SPACE = "nasbench201"


def read(path: Path) -> pd.DataFrame:
    """A row an architecture, from `HW-NAS-Bench-v1_0.pickle`.

    Columns: `architecture`, and by data set and device e.g. `cifar10_edgegpu_latency` (ms) and
    `imagenet16_fpga_energy` (mJ). A latency or energy of 0 or less was not measured.
    """
    import pandas as pd

    whole = load(path)
    if not isinstance(whole, dict) or not isinstance(whole.get(SPACE), dict):
        raise NasplugError(f"{path} must be of HW-NAS-Bench, with the entry {SPACE}, but is not")
    frame: pd.DataFrame | None = None
    for dataset, measured in whole[SPACE].items():
        place = f"{SPACE}, {shortened(str(dataset), 40)}"
        cells = _cells(path, place, measured)
        part = pd.DataFrame({"architecture": cells})
        for name, values in measured.items():
            if name != "config":
                column = f"{DATASETS.get(dataset, dataset)}_{name}"
                part[column] = _numbers(path, f"{place}, {name}", values, len(cells))
        frame = part if frame is None else frame.merge(part, on="architecture", how="outer")
    if frame is None:
        raise NasplugError(f"{path} must hold measurements of {SPACE}, but holds none")
    return frame


def _cells(path: Path, place: str, measured: Any) -> list[str]:
    """The strings of the measured cells, in order."""
    configs = measured.get("config") if isinstance(measured, dict) else None
    named = configs if isinstance(configs, list) else [None]
    cells = [c["arch_str"] for c in named if isinstance(c, dict) and type(c.get("arch_str")) is str]
    if len(cells) != len(named):
        raise NasplugError(f"{path} must name its cells, in {place}, config, but does not")
    return cells


def _numbers(path: Path, place: str, values: Any, count: int) -> FloatArray:
    """`count` measurements, not a number where 0 or less; lists of lists are not even looked into."""
    if isinstance(values, np.ndarray):
        fits = values.shape == (count,) and values.dtype.kind in "iuf"
    else:
        kinds = (int, float, np.integer, np.floating)
        fits = isinstance(values, list | tuple) and all(isinstance(v, kinds) for v in values)
        fits = fits and len(values) == count
    if not fits:
        raise NasplugError(
            f"{path} must hold a number for each of the {count} cells in {shortened(place, 100)}, but "
            "does not"
        )
    with reading(path, "of HW-NAS-Bench"):
        measured = np.asarray(values, float)
        return np.where(measured > 0, measured, np.nan)
