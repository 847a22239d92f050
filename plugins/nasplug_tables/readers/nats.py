"""Reads NATS-Bench (Dong et al., TPAMI 2021), the topology space: its files, or its API object."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nasplug import NasplugError
from nasplug_tables.readers.opening import reading
from nasplug_tables.readers.safe_pickle import load

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

DATASETS = {
    "cifar10-valid": "cifar10valid",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "imagenet16",
}
"""The benchmark's names and those in columns. `cifar10valid` is trained on half of CIFAR-10's
training images, `cifar10` on all of them."""

SETS = {"train": "train", "x-valid": "valid", "x-test": "test", "ori-test": "valtest"}
WHOLE = ("cifar10-valid", "cifar10")
"""Whose `ori-test` is the test set; of the others it is the validation and the test set together."""

SHOWN = 2000
"""Files after which the reading says how far it is."""

META, SUFFIX = "meta.pickle.pbz2", ".pickle.pbz2"


class Api(Protocol):
    """The methods that are used of `nats_bench.create(..)` and of `nas_201_api.NASBench201API`
    version 2."""

    def __len__(self) -> int:
        """How many architectures there are."""

    def __getitem__(self, index: int) -> str:
        """The string of an architecture."""

    def get_more_info(
        self, index: int, dataset: str, iepoch: int | None, hp: str, is_random: bool
    ) -> Mapping[str, Any]:
        """`valid-accuracy`, `test-loss` and so on."""

    def get_cost_info(self, index: int, dataset: str, hp: str) -> Mapping[str, Any]:
        """`params` and `flops` in millions, `latency` in seconds."""


def read(path: Path) -> pd.DataFrame:
    """A row an architecture, from the file `NATS-tss-v1_0-3ffb9.pickle.pbz2` or the folder
    `NATS-tss-v1_0-3ffb9-simple`.

    Columns: `architecture`, and by data set, set and epochs of training the mean of all trials
    after the last epoch, e.g. `cifar100_valid_accuracy_e200` (%), `cifar10valid_test_loss_e12`, and
    `cifar10_params_e200`, `cifar10_flops_e200` (multiply-adds), `cifar10_latency_e200` (ms).
    """
    import pandas as pd

    rows = []
    for file, arch, trained in _architectures(path):
        with reading(file, "of NATS-Bench"):
            rows.append({"architecture": arch, **_row(trained)})
    if not rows:
        raise NasplugError(f"{path} must hold architectures of NATS-Bench, but holds none")
    return pd.DataFrame(rows)


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder of the benchmark."""
    try:
        return path.is_dir() and (path / META).is_file()
    except OSError:  # a name that is too long, a folder that is closed
        return False


def _row(trained: Mapping[str, Any]) -> dict[str, float]:
    """All columns of an architecture from its trainings, which are keyed by epochs."""
    row: dict[str, float] = {}
    for epochs, results in trained.items():
        for dataset, seeds in results["dataset_seed"].items():
            trials = [results["all_results"][dataset, seed] for seed in seeds]
            row |= _columns(_mean([_final(trial, dataset) for trial in trials]), dataset, epochs)
    return row


def from_api(api: Api, epochs: Sequence[str] = ("12", "200")) -> pd.DataFrame:
    """The same table as `read`, through the benchmark's own API object."""
    import pandas as pd

    rows = []
    for index in range(len(api)):
        row: dict[str, Any] = {"architecture": api[index]}
        for hp in epochs:
            for dataset in DATASETS:
                try:
                    info = api.get_more_info(index, dataset, iepoch=None, hp=hp, is_random=False)
                    cost = api.get_cost_info(index, dataset, hp=hp)
                except KeyError:  # not trained so
                    continue
                values = {k: v for k, v in info.items() if k.endswith(("accuracy", "loss"))}
                values = {k.replace("-", "_"): v for k, v in values.items()}
                row |= _columns({**values, **_costs(cost)}, dataset, hp)
        rows.append(row)
    return pd.DataFrame(rows)


def _architectures(path: Path) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """The file, the string of every architecture, and by epochs what its trials gave."""
    if path.is_file():
        whole = _checked(path, load(path), {"meta_archs": list, "arch2infos": dict})
        with reading(path, "of NATS-Bench"):
            items = sorted(whole["arch2infos"].items())
            named = [(str(whole["meta_archs"][index]), trained) for index, trained in items]
        for name, trained in named:
            yield path, name, trained
        return
    strings = _checked(path / META, load(path / META), {"meta_archs": list})["meta_archs"]
    files = sorted(f for f in path.glob(f"*{SUFFIX}") if f.name != META)
    for number, file in enumerate(files):
        if number % SHOWN == 0:
            log.info("%s: read %d of %d files", path, number, len(files))
        with reading(file, f"of NATS-Bench, named by the number of its architecture ({SUFFIX})"):
            name = str(strings[int(file.name.removesuffix(SUFFIX))])
        yield file, name, load(file)


def _checked(path: Path, value: Any, parts: Mapping[str, type]) -> Mapping[str, Any]:
    """`value`, if it is a dictionary whose `parts` have the expected types."""
    fits = isinstance(value, dict) and all(
        isinstance(value.get(key), kind) for key, kind in parts.items()
    )
    if not fits:
        raise NasplugError(f"{path} must be of NATS-Bench, with {' and '.join(parts)}, but is not")
    checked: Mapping[str, Any] = value
    return checked


def _final(trial: Mapping[str, Any], dataset: str) -> dict[str, float]:
    """Accuracy and loss of every set after the last epoch of one trial, and the costs."""
    last = trial["epochs"] - 1
    values = {
        "train_accuracy": trial["train_acc1es"][last],
        "train_loss": trial["train_losses"][last],
    }
    for name in trial["eval_names"]:
        known = "test" if name == "ori-test" and dataset in WHOLE else SETS[name]
        values[f"{known}_accuracy"] = trial["eval_acc1es"][f"{name}@{last}"]
        values[f"{known}_loss"] = trial["eval_losses"][f"{name}@{last}"]
    latency = float(np.mean([_number(value) for value in trial["latency"] or [-1.0]]))
    costs = {
        "params": trial["params"],
        "flops": trial["flop"],
        "latency": latency if latency > 0 else None,
    }
    return {**values, **_costs(costs)}


def _costs(cost: Mapping[str, Any]) -> dict[str, float]:
    """Counts and milliseconds, from millions and seconds; unknown values are left out."""
    scales = {"params": 1e6, "flops": 1e6, "latency": 1e3}
    return {k: float(cost[k]) * scale for k, scale in scales.items() if cost.get(k) is not None}


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in values for name in each)
    return {n: float(np.mean([_number(e[n]) for e in values if n in e])) for n in names}


def _number(value: Any) -> float:
    """`value` as a float; TypeError unless it is a number (numpy would try to convert nested
    lists)."""
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"a {type(value).__name__} where a number must be")
    return float(value)


def _columns(values: Mapping[str, Any], dataset: str, epochs: str) -> dict[str, float]:
    known = DATASETS.get(dataset, dataset)
    return {f"{known}_{name}_e{int(epochs)}": float(value) for name, value in values.items()}
