"""Reading what NAS-Bench-101, NATS-Bench and HW-NAS-Bench publish, and no code with it."""

import base64
import bz2
import json
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from nasplug_tables.readers import hwnas, nats
from nasplug_tables.readers.safe_pickle import load
from nasplug_tables.spaces.nasbench101 import NasBench101
from nasplug_tables.spaces.nasbench201 import NasBench201
from nasplug_tables.spaces.nasbench_macro import NasBenchMacro
from nasplug_tables.table.table import Table

from nasplug import Failure, NasplugError
from nasplug.contracts.types import full_trials

SPACE = NasBench201(isomorphic=False)
CELLS = [SPACE.format(tuple(a)) for a in SPACE.sample(3, np.random.default_rng(0)).tolist()]
EVALUATED = {
    "cifar10-valid": ["x-valid", "ori-test"],
    "cifar10": ["ori-test"],
    "cifar100": ["x-valid", "x-test", "ori-test"],
}


def trial(cell, dataset, seed, epochs):
    """What one training gave, in the benchmark's layout; accuracy tells cell, set and seed apart."""
    names = EVALUATED[dataset]
    keys = {f"{name}@{e}": (i, e) for i, name in enumerate(names) for e in range(epochs)}
    return {
        "name": "infer.tiny",
        "net_state_dict": None,
        "train_acc1es": {e: 50.0 + e for e in range(epochs)},
        "train_acc5es": None,
        "train_losses": {e: 2.0 - e for e in range(epochs)},
        "train_times": None,
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": CELLS[cell], "class_num": 10},
        "params": 0.5 + cell,
        "flop": np.float64(30.0),
        "seed": seed,
        "epochs": epochs,
        "latency": [0.01, 0.03] if seed == 777 else [-1.0],  # not measured
        "eval_names": names,
        "eval_acc1es": {k: 10.0 * cell + i + e / 100 + seed / 1000 for k, (i, e) in keys.items()},
        "eval_losses": dict.fromkeys(keys, 0.25),
        "eval_times": {},
    }


def trained(cell, epochs, datasets):
    seeds = {dataset: [777, 888] for dataset in datasets}
    return {
        "arch_index": cell,
        "arch_str": CELLS[cell],
        "all_results": OrderedDict(
            ((d, seed), trial(cell, d, seed, epochs)) for d, ss in seeds.items() for seed in ss
        ),
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def infos(cell):
    return OrderedDict(
        {"12": trained(cell, 2, ["cifar10-valid"]), "200": trained(cell, 3, EVALUATED)}
    )


def dump(value, path):
    with bz2.open(path, "wb") as file:
        pickle.dump(value, file, protocol=4)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    dump({"meta_archs": CELLS, "total_archs": 3}, folder / "meta.pickle.pbz2")
    for cell in (0, 2):  # not all may be there
        dump(infos(cell), folder / f"{cell:06d}.pickle.pbz2")
    return folder


def test_nats_folder(folder):
    table = Table(SPACE, str(folder))
    assert table.metrics["cifar100_test_accuracy_e200"].direction == "maximize"
    assert table.metrics["cifar10valid_valid_loss_e12"].direction == "minimize"
    assert table.metrics["cifar10_latency_e200"].direction == "minimize"
    names = [
        "cifar100_valid_accuracy_e200",
        "cifar100_test_accuracy_e200",
        "cifar100_valtest_accuracy_e200",
        "cifar10valid_test_accuracy_e12",
        "cifar10_train_loss_e200",
        "cifar10_params_e200",
        "cifar10_flops_e200",
        "cifar10_latency_e200",
    ]
    found = table.evaluate(full_trials([SPACE.parse(CELLS[2]), SPACE.parse(CELLS[1])]), names)
    seeds = (777 + 888) / 2000
    expected = [20.02, 21.02, 22.02, 21.01]
    values = list(found[0].values.values())
    assert values[:4] == pytest.approx([value + seeds for value in expected])
    assert values[4:] == pytest.approx([0.0, 2.5e6, 30e6, 20.0])
    assert isinstance(found[1], Failure) and "no row" in found[1].error


def test_nats_file_is_the_same_table(folder, tmp_path):
    whole = {
        "meta_archs": CELLS,
        "arch2infos": {cell: infos(cell) for cell in (0, 2)},
        "evaluated_indexes": {0, 2},
    }
    path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    dump(whole, path)
    pd.testing.assert_frame_equal(nats.read(path), nats.read(folder))


class Api:
    """Answers as the benchmark's own object does."""

    def __len__(self):
        return len(CELLS)

    def __getitem__(self, index):
        return CELLS[index]

    def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
        assert iepoch is None and is_random is False
        results = infos(index)[hp]["all_results"]
        trials = [results[dataset, seed] for seed in (777, 888)]
        final = [nats._final(t, dataset) for t in trials]
        names = [name for name in final[0] if name.endswith(("accuracy", "loss"))]
        named = {n.replace("_", "-"): np.mean([f[n] for f in final]) for n in names}
        return {**named, "train-per-time": None, "train-all-time": None}

    def get_cost_info(self, index, dataset, hp="12"):
        return {"params": 0.5 + index, "flops": 30.0, "latency": 0.02, "T-train@epoch": None}


def test_nats_object_is_the_same_table(folder):
    asked, stored = nats.from_api(Api()), nats.read(folder)
    assert list(asked.architecture) == CELLS
    pd.testing.assert_frame_equal(asked.iloc[[0, 2]].reset_index(drop=True)[stored.columns], stored)


def hardware(**more):
    config = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": cell} for cell in CELLS]
    measured = {
        "edgegpu_latency": [5.5, 6.5, 7.5],
        "edgetpu_latency": np.array([1.0, -1.0, 3.0]),
        "fpga_energy": [1, 2, 3],
    }
    return {
        "nasbench201": {
            "cifar10": {**measured, "config": config, **more},
            "ImageNet16-120": {**measured, "config": config[::-1]},
        },
        "fbnet": {},
    }


@pytest.mark.parametrize("protocol", range(2, 6))
def test_hardware(tmp_path, protocol):
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(hardware(), protocol))
    table = Table(SPACE, str(path))
    assert {m.direction for m in table.metrics.values()} == {"minimize"}
    names = ["cifar10_edgegpu_latency", "imagenet16_edgegpu_latency", "imagenet16_fpga_energy"]
    outcomes = table.evaluate(full_trials([SPACE.parse(cell) for cell in CELLS]), names)
    assert [list(o.values.values()) for o in outcomes] == [
        [5.5, 7.5, 3.0], [6.5, 6.5, 2.0], [7.5, 5.5, 1.0],
    ]  # fmt: skip
    (unmeasured,) = table.evaluate(
        full_trials([SPACE.parse(CELLS[1])]), ["cifar10_edgetpu_latency"]
    )
    assert isinstance(unmeasured, Failure)


def test_accuracy_and_hardware_are_joined(folder, tmp_path):
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(hardware()))
    table = Table(SPACE, [str(folder), str(path)])
    (found,) = table.evaluate(
        full_trials([SPACE.parse(CELLS[0])]),
        ["cifar100_test_accuracy_e200", "cifar10_edgegpu_latency"],
    )
    assert list(found.values.values()) == pytest.approx([1.8525, 5.5])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1, 2], "entry nasbench201"),
        ({"nasbench201": {}}, "holds none"),
        ({"nasbench201": {"cifar10": {"x_latency": [1]}}}, "must name its cells"),
    ],
)
def test_other_pickles_are_refused(tmp_path, value, reason):
    path = tmp_path / "other.pickle"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(NasplugError, match=reason):
        hwnas.read(path)
    dump(value, tmp_path / "other.pickle.pbz2")
    with pytest.raises(NasplugError, match="must be of NATS-Bench"):
        nats.read(tmp_path / "other.pickle.pbz2")


class Evil:
    def __init__(self, call, *arguments):
        self.what = call, arguments

    def __reduce__(self):
        return self.what


def test_code_is_not_run(tmp_path):
    path, trace = tmp_path / "evil.pickle", tmp_path / "trace"
    for call, argument in (
        (os.mkdir, str(trace)),
        (eval, f"__import__('os').mkdir({str(trace)!r})"),
    ):
        path.write_bytes(pickle.dumps({"nasbench201": Evil(call, argument)}))
        with pytest.raises(NasplugError, match=f"may run code.*{call.__name__}") as error:
            load(path)
        assert "\n" not in str(error.value)
    path.write_bytes(pickle.dumps(np.array([Evil(os.mkdir, str(trace))], object)))
    with pytest.raises(NasplugError, match="may run code"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04."])
def test_broken_pickles_are_one_line(tmp_path, content):
    path = tmp_path / "broken.pickle"
    path.write_bytes(content)
    with pytest.raises(NasplugError, match="must be a pickle") as error:
        load(path)
    assert "\n" not in str(error.value)


def evaluation(epoch, accuracy):
    doubles = {1: epoch, 2: 10 * epoch, 3: accuracy, 4: accuracy - 0.1, 5: accuracy - 0.2}
    body = b"".join(bytes([n << 3 | 1]) + struct.pack("<d", v) for n, v in doubles.items())
    body += bytes([6 << 3 | 2, 4]) + b"path"
    return bytes([1 << 3 | 2, len(body)]) + body


def record(bits, operations, epochs, accuracy):
    """A training: evaluations at its start, half-way and end, 300 parameters (a varint of two bytes),
    and the seconds of all."""
    message = b"".join(
        evaluation(e, a) for e, a in ((0, 0.1), (epochs / 2, 0.3), (epochs, accuracy))
    )
    message += bytes([2 << 3, 0b10101100, 0b10]) + bytes([3 << 3 | 1]) + struct.pack("<d", 99)
    text = json.dumps(["hash", epochs, bits, operations, base64.b64encode(message).decode()])
    return struct.pack("<QI", len(text), 0) + text.encode() + struct.pack("<I", 0)


def test_nasbench101_file(tmp_path):
    path = tmp_path / "nasbench_only108.tfrecord"
    conv = ("010001000", "input,conv3x3-bn-relu,output")
    path.write_bytes(
        record(*conv, 108, 0.9)
        + record("0100", "input,output", 108, 0.5)
        + record(*conv, 108, 0.8)
        + record(*conv, 4, 0.6)
    )
    space = NasBench101()
    table = Table(space, str(path))
    ways = {name: metric.direction for name, metric in table.metrics.items()}
    assert ways["test_accuracy_e108"] == "maximize"
    assert ways["params"] == ways["training_seconds_e4"] == "minimize"
    names = ["params", "validation_accuracy_e108", "test_accuracy_e4", "training_seconds_e108"]
    found, half = table.evaluate(full_trials([space.parse(" ".join(conv)), space.smallest]), names)
    assert list(found.values.values()) == pytest.approx([300, 0.75, 0.4, 1080])
    assert isinstance(half, Failure) and "no test_accuracy_e4" in half.error


@pytest.mark.parametrize("content", [b"no records", record("0100", "input,output", 4, 0.5)[:-9]])
def test_broken_nasbench101_files_are_one_line(tmp_path, content):
    path = tmp_path / "broken.tfrecord"
    path.write_bytes(content)
    with pytest.raises(NasplugError, match="must be a file of NAS-Bench-101"):
        _ = Table(NasBench101(), str(path)).metrics


def test_json_of_architectures(tmp_path):
    """As NAS-Bench-Macro is published; digits that begin with 0 stay as they are."""
    path = tmp_path / "nas-bench-macro_cifar10.json"
    record = {"test_acc": [92.5, 92.7, 92.6], "mean_acc": 92.6, "std": 0.1, "params": 3e6}
    path.write_text(json.dumps({"01202112": record, "00000000": {**record, "mean_acc": 80.5}}))
    space = NasBenchMacro()
    table = Table(space, str(path))
    assert list(table.metrics) == ["mean_acc", "std", "params"]
    (found,) = table.evaluate(full_trials([space.parse("00000000")]), ["mean_acc"])
    assert found.values["mean_acc"] == 80.5
    path.write_text("[1, 2]")
    with pytest.raises(NasplugError, match="must be JSON like"):
        _ = Table(space, str(path)).metrics
