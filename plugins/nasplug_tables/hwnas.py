"""Reads HW-NAS-Bench (Li et al., ICLR 2021): measured costs of the cells of NAS-Bench-201."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasplug import NasplugError
from nasplug_tables.nats import DATASETS
from nasplug_tables.safe_pickle import load

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
    if not isinstance(whole, dict) or SPACE not in whole:
        raise NasplugError(f"{path} must be of HW-NAS-Bench, with the entry {SPACE}, but is not")
    frame: pd.DataFrame | None = None
    for dataset, measured in whole[SPACE].items():
        if "config" not in measured:
            raise NasplugError(
                f"{path} must name its cells, in {SPACE}, {dataset}, config, but does not"
            )
        columns = {
            f"{DATASETS.get(dataset, dataset)}_{name}": np.where(
                np.asarray(values, float) > 0, np.asarray(values, float), np.nan
            )
            for name, values in measured.items()
            if name != "config"
        }
        cells = [config["arch_str"] for config in measured["config"]]
        part = pd.DataFrame({"architecture": cells, **columns})
        frame = part if frame is None else frame.merge(part, on="architecture", how="outer")
    if frame is None:
        raise NasplugError(f"{path} must hold measurements of {SPACE}, but holds none")
    return frame
