"""Reads NATS-Bench (Dong et al., TPAMI 2021), the topology space: its files, or its API object."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nasplug import NasplugError
from nasplug_tables.safe_pickle import load

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
    """What is used of `nats_bench.create(..)` and of `nas_201_api.NASBench201API` version 2."""

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
    for arch, trained in _architectures(path):
        row: dict[str, Any] = {"architecture": arch}
        for epochs, results in trained.items():
            for dataset, seeds in results["dataset_seed"].items():
                trials = [results["all_results"][dataset, seed] for seed in seeds]
                values = [_final(trial, dataset) for trial in trials]
                row |= _columns(_mean(values), dataset, epochs)
        rows.append(row)
    return pd.DataFrame(rows)


def from_api(api: Api, epochs: Sequence[str] = ("12", "200")) -> pd.DataFrame:
    """The same table as `read`, asked of the benchmark's own API object."""
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


def _architectures(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every architecture's string, and by epochs what its trials gave."""
    if path.is_file():
        whole = _checked(path, load(path), ("meta_archs", "arch2infos"))
        for index, trained in sorted(whole["arch2infos"].items()):
            yield whole["meta_archs"][index], trained
        return
    strings = _checked(path / META, load(path / META), ("meta_archs",))["meta_archs"]
    files = sorted(f for f in path.glob(f"*{SUFFIX}") if f.name != META)
    for number, file in enumerate(files):
        if number % SHOWN == 0:
            log.info("%s: read %d of %d files", path, number, len(files))
        yield strings[int(file.name.removesuffix(SUFFIX))], load(file)


def _checked(path: Path, value: Any, keys: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not set(keys) <= set(value):
        raise NasplugError(f"{path} must be of NATS-Bench, with {' and '.join(keys)}, but is not")
    return value


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
    latency = float(np.mean(trial["latency"] or [-1.0]))
    costs = {
        "params": trial["params"],
        "flops": trial["flop"],
        "latency": latency if latency > 0 else None,
    }
    return {**values, **_costs(costs)}


def _costs(cost: Mapping[str, Any]) -> dict[str, float]:
    """Counts and milliseconds, of millions and seconds; what is not known is left out."""
    scales = {"params": 1e6, "flops": 1e6, "latency": 1e3}
    return {k: float(cost[k]) * scale for k, scale in scales.items() if cost.get(k) is not None}


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in values for name in each)
    return {n: float(np.mean([each[n] for each in values if n in each])) for n in names}


def _columns(values: Mapping[str, Any], dataset: str, epochs: str) -> dict[str, float]:
    known = DATASETS.get(dataset, dataset)
    return {f"{known}_{name}_e{int(epochs)}": float(value) for name, value in values.items()}
