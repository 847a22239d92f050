"""Wrong and damaged files of every kind that is read: one clear line each, which names the file."""

import bz2
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from nasplug_tables.ofa_surrogate.accuracy import AccuracyPredictor
from nasplug_tables.ofa_surrogate.latency import LatencyTable, _keys
from nasplug_tables.recorded.recordings import read
from nasplug_tables.spaces.nasbench101 import NasBench101
from nasplug_tables.spaces.nasbench201 import NasBench201
from nasplug_tables.spaces.nasbench_asr import NasBenchAsr
from nasplug_tables.spaces.nasbench_macro import NasBenchMacro
from nasplug_tables.spaces.nasbench_nlp import NasBenchNlp
from nasplug_tables.table.table import Table

import nasplug
from nasplug import NasplugError
from nasplug.contracts.types import full_trials
from nasplug.testing import ToySpace

TOY = ToySpace(layers=2, widths=(2, 4))
CELLS = NasBench201(isomorphic=False)
RNG = np.random.default_rng(0)
GARBAGE = RNG.bytes(3000)
DEEP = b"[" * 200_000
MBV3 = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}


def accuracy(path):
    return AccuracyPredictor(str(path))([MBV3], 224)


def latency(path):
    return LatencyTable(str(path))(MBV3)


def recorded(path):
    return read([str(path)], TOY)


def table(space=TOY, form=None):
    def look_up(path):
        found = Table(space, str(path), form)
        return found.metrics, found.evaluate(full_trials([space.smallest]), list(found.metrics))

    return look_up


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def perceptron(**changes):
    sizes = (128, 4, 1)
    state = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        state[f"{i}.weight"], state[f"{i}.bias"] = torch.ones(outputs, inputs), torch.ones(outputs)
    return saved({k: v for k, v in {**state, **changes}.items() if v is not None})


class Code:
    def __reduce__(self):
        return os.mkdir, ("run",)


ACCURACY = {
    "garbage.pth": GARBAGE,
    "a_pickle.pth": pickle.dumps({"0.weight": [1.0]}),
    "code.pth": saved({"0.weight": Code()}),
    "a_list.pth": saved([torch.ones(3)]),
    "a_tensor.pth": saved(torch.ones(3)),
    "a_number.pth": saved(3),
    "nothing.pth": saved({}),
    "texts.pth": saved({"0.weight": "a"}),
    "whole_numbers.pth": saved({"0.weight": torch.ones(1, 128, dtype=torch.int64)}),
    "one_layer_missing.pth": perceptron(**{"1.weight": None, "1.bias": None}),
    "a_bias_missing.pth": perceptron(**{"0.bias": None}),
    "a_bias_too_long.pth": perceptron(**{"0.bias": torch.ones(5)}),
    "layers_that_do_not_fit.pth": perceptron(**{"1.weight": torch.ones(1, 5)}),
    "two_outputs.pth": perceptron(**{"1.weight": torch.ones(2, 4), "1.bias": torch.ones(2)}),
    "other_inputs.pth": perceptron(**{"0.weight": torch.ones(4, 100)}),
    "nan.pth": perceptron(**{"0.weight": torch.full((4, 128), torch.nan)}),
    "stretched.pth": perceptron(**{"0.weight": torch.ones(1, 1).expand(10**7, 128)}),
    "sparse.pth": perceptron(**{"0.weight": torch.ones(4, 128).to_sparse()}),
    "cut.pth": perceptron()[:-100],
}

ROWS = {key: {"count": 5, "mean": 1.5, "std": 0.1} for key in _keys(224)}


def yaml(rows):
    return "".join(
        f"{key}:\n" + "".join(f"  {n}: {v}\n" for n, v in row.items()) for key, row in rows.items()
    ).encode()


def changed(**row):
    return yaml({**ROWS, next(iter(ROWS)): row})


LAUGHS = "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 9}]}}\n" for i in range(1, 12))
LATENCY = {
    "garbage.yaml": GARBAGE,
    "a_list.yaml": b"- 1\n- 2\n",
    "a_text.yaml": b"Conv-input",
    "a_number.yaml": b"5",
    "comments.yaml": b"# nothing\n",
    "numbers_alone.yaml": b"Conv-input:224x224x3-output:112x112x24: 1.5\n",
    "words.yaml": changed(mean="slow"),
    "no_mean.yaml": changed(count=5),
    "nan.yaml": changed(mean=".nan"),
    "not_a_number.yaml": changed(mean="nan"),
    "infinite.yaml": changed(mean="inf"),
    "negative.yaml": changed(mean=-1),
    "a_list_as_mean.yaml": changed(mean="[1]"),
    "blocks_missing.yaml": yaml(dict(list(ROWS.items())[:40])),
    "no_first_block.yaml": yaml(dict(list(ROWS.items())[1:])),
    "a_block_twice.yaml": yaml(ROWS) + yaml(dict([next(iter(ROWS.items()))])),
    "two_documents.yaml": yaml(ROWS) + b"---\n" + yaml(ROWS),
    "cut.yaml": yaml(ROWS)[:300] + b"\n  'mean",
    "tabs.yaml": b"\ta: 1\n",
    "nested_deeply.yaml": DEEP,
    "nested_deeply_in_blocks.yaml": b"".join(b" " * i + b"a:\n" for i in range(3000)),
    "itself.yaml": b"&a {Conv-input: *a}\n",
    "aliases_of_aliases.yaml": b"a0: &a0 {mean: 1}\n" + LAUGHS.encode(),
    "python.yaml": b"!!python/object/apply:os.mkdir [run]\n",
    "utf16.yaml": yaml(ROWS).decode().encode("utf-16"),
}

OWN = "number,status,top1,architecture,config,seconds,error\n"
DYNAST = "Sub-network,MACs,Top-1 Acc (%)\n"
TOO_LONG = "9" * 140_000
RECORDED = {
    "garbage.csv": GARBAGE,
    "zeros.csv": bytes(1000),
    "line_breaks.csv": b"\n\n\n",
    "utf16.csv": (OWN + '0,ok,5,"[0,0,0]",,,\n').encode("utf-16"),
    "latin1.csv": (OWN + '0,ok,5,"[0,0,0]",,,\xe4\n').encode("latin1"),
    "other_columns.csv": b"a,b\n1,2\n",
    "long_columns.csv": ("a" * 100_000 + ",b\n1,2\n").encode(),
    "a_word.csv": (OWN + '0,ok,good,"[0,0,0]",,,\n').encode(),
    "nan.csv": (OWN + '0,ok,nan,"[0,0,0]",,,\n').encode(),
    "infinite.csv": (OWN + '0,ok,1e999,"[0,0,0]",,,\n').encode(),
    "too_many_cells.csv": (OWN + '0,ok,1,"[0,0,0]",,,,,5\n').encode(),
    "too_few_cells.csv": (OWN + "0,ok,1\n").encode(),
    "a_long_cell.csv": (OWN + f'0,ok,{TOO_LONG},"[0,0,0]",,,\n').encode(),
    "a_quote_that_does_not_end.csv": (OWN + '0,ok,1,"' + "[0],\n" * 50_000).encode(),
    "a_nested_architecture.csv": OWN.encode() + b'0,ok,1,"' + b"[" * 50_000 + b'",,,\n',
    "an_architecture_of_words.csv": (OWN + '0,ok,1,"[""a""]",,,\n').encode(),
    "an_architecture_of_truths.csv": (OWN + '0,ok,1,"[true,true,true]",,,\n').encode(),
    "an_object.csv": (OWN + '0,ok,1,"{}",,,\n').encode(),
    "dynast_a_word.csv": (DYNAST + "\"{'width': 2}\",many,1\n").encode(),
    "dynast_nan.csv": (DYNAST + "\"{'width': 2}\",nan,1\n").encode(),
    "dynast_a_long_cell.csv": (DYNAST + f'"{TOO_LONG}",1,1\n').encode(),
    "dynast_a_list.csv": (DYNAST + '"[1, 2]",1,1\n').encode(),
    "dynast_no_value.csv": (DYNAST + '"{",1,1\n').encode(),
    "dynast_code.csv": (DYNAST + "\"__import__('os').mkdir('run')\",1,1\n").encode(),
    "dynast_nested.csv": (DYNAST + f'"{"[" * 15_000}",1,1\n').encode(),
    "dynast_signs.csv": (DYNAST + f'"{"-" * 15_000}1",1,1\n').encode(),
    "dynast_sums.csv": (DYNAST + f'"{"1+" * 9_000}1",1,1\n').encode(),
    "dynast_zero.csv": (DYNAST + "\"{'width': 1_\\d}\",1,1\n").encode(),
    "dynast_no_cell.csv": (DYNAST + "\n,,\n").encode(),
}


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = b'architecture,top1\n"[0,0,0]",5\n"[1,0,0]",6\n'
TABLES = {
    "garbage.csv": (table(), GARBAGE),
    "zeros.csv": (table(), bytes(1000)),
    "line_breaks.csv": (table(), b"\n\n"),
    "utf16.csv": (table(), GOOD.decode().encode("utf-16")),
    "a_word.csv": (table(), b'architecture,top1\n"[0,0,0]",5\n"[9,9]",6\n'),
    "other_columns.csv": (table(), b"a,b\n1,2\n"),
    "long_columns.csv": (table(), b"a" * 100_000 + b",b\n1,2\n"),
    "an_uneven_line.csv": (table(), GOOD + b"1,2,3,4,5,6\n"),
    "a_quote_that_does_not_end.csv": (table(), GOOD + b'"' + b"1,2\n" * 50_000),
    "a_nested_cell.csv": (table(), b'architecture,top1\n"' + DEEP + b'",5\n'),
    "a_long_number.csv": (table(), b'architecture,top1\n"[' + b"9" * 9000 + b']",5\n'),
    "an_object_of_lists.csv": (table(), b'architecture,top1\n"{""width"": [1]}",5\n'),
    "truths.csv": (table(), b'architecture,top1\n"[true,true,true]",5\n'),
    "garbage.csv.gz": (table(), GARBAGE),
    "cut.csv.gz": (table(), gzip.compress(GOOD * 100)[:-20]),
    "turned.csv.gz": (table(), gzip.compress(GARBAGE)[:200] + GARBAGE),
    "garbage.csv.zip": (table(), GARBAGE),
    "cut.csv.zip": (table(), zipped(a=GOOD)[:-30]),
    "two_files.csv.zip": (table(), zipped(a=GOOD, b=GOOD)),
    "no_file.csv.zip": (table(), zipped()),
    "garbage.csv.bz2": (table(), GARBAGE),
    "garbage.csv.xz": (table(), GARBAGE),
    "garbage.csv.tar": (table(), GARBAGE),
    "garbage.parquet": (table(), GARBAGE),
    "marked.parquet": (table(), b"PAR1" + GARBAGE + b"PAR1"),
    "garbage.json": (table(), GARBAGE),
    "nested.json": (table(), DEEP),
    "nested_objects.json": (table(), b'{"a":' * 100_000),
    "a_list.json": (table(), b"[1]"),
    "nothing.json": (table(), b"{}"),
    "numbers.json": (table(), b'{"[0,0,0]": 5}'),
    "words.json": (table(), b'{"not one": {"top1": 5}}'),
    "a_long_number.json": (table(), b'{"[0,0,0]": {"top1": ' + b"9" * 9000 + b"}}"),
    "utf16.json": (table(), '{"[0,0,0]": {"top1": 5}}'.encode("utf-16")),
    "garbage.tfrecord": (table(NasBench101()), GARBAGE),
    "zeros.tfrecord": (table(NasBench101()), bytes(1000)),
    "garbage.pickle": (table(CELLS), GARBAGE),
    "garbage.pickle.pbz2": (table(CELLS), GARBAGE),
    "cut.pickle.pbz2": (table(CELLS), bz2.compress(pickle.dumps([0] * 1000))[:-9]),
    "a_cell_of_brackets.csv": (table(NasBenchAsr()), b'arch,per\n"' + DEEP + b'",5\n'),
    "a_cell_of_objects.csv": (
        table(NasBenchNlp()),
        b'arch,loss\n"' + b'{""a"":' * 50_000 + b'",5\n',
    ),
    "a_cell_of_digits.csv": (table(NasBenchMacro()), b"arch,acc\n" + b"0" * 100_000 + b",5\n"),
    "a_cell_of_a_graph.csv": (table(NasBench101()), b"arch,acc\n" + b"01" * 5000 + b" a,5\n"),
}


def record(value):
    text = json.dumps(value).encode()
    return struct.pack("<QI", len(text), 0) + text + struct.pack("<I", 0)


for _name, _value in {
    "an_object": {"a": 1},
    "too_few": [1, 2],
    "no_base64": ["h", 4, "0100", "input,output", "!"],
    "no_message": ["h", 4, "0100", "input,output", 5],
    "another_message": ["h", 4, "0100", "input,output", "////////////////////////"],
}.items():
    TABLES[f"{_name}.tfrecord"] = (table(NasBench101()), record(_value))

LISTS = [1.0]
for _ in range(40):
    LISTS = [LISTS, LISTS]  # as a matrix, of 2^40 numbers
CONFIG = [{"arch_str": CELLS.format(CELLS.smallest)}]
HARDWARE = {
    "a_list": [1],
    "a_number": 5,
    "other_entries": {"fbnet": {}},
    "an_entry_that_is_none": {"nasbench201": None},
    "an_entry_of_a_list": {"nasbench201": [1]},
    "an_empty_entry": {"nasbench201": {}},
    "a_data_set_of_a_list": {"nasbench201": {"cifar10": [1]}},
    "no_config": {"nasbench201": {"cifar10": {"a": [1.0]}}},
    "a_config_of_a_number": {"nasbench201": {"cifar10": {"config": 5}}},
    "a_config_of_numbers": {"nasbench201": {"cifar10": {"config": [5]}}},
    "a_config_without_cells": {"nasbench201": {"cifar10": {"config": [{}]}}},
    "a_cell_of_a_number": {"nasbench201": {"cifar10": {"config": [{"arch_str": 5}]}}},
    "a_cell_of_another_space": {
        "nasbench201": {"cifar10": {"config": [{"arch_str": "a"}], "a_latency": [1.0]}}
    },
    **{
        f"measured_{name}": {"nasbench201": {"cifar10": {"config": CONFIG, "a_latency": values}}}
        for name, values in {
            "nothing": [],
            "none": None,
            "twice": [1.0, 2.0],
            "words": ["slow"],
            "lists": [[1.0]],
            "lists_of_lists": LISTS,
            "an_object": {"a": 1.0},
            "a_matrix": np.ones((1, 1)),
            "words_in_an_array": np.array(["slow"]),
            "objects": np.array([None], object),
            "a_huge_number": [10**400],
        }.items()
    },
}
TRIAL = {
    "epochs": 1, "eval_names": ["ori-test"], "params": 1.0, "flop": 1.0, "latency": [0.1],
    "train_acc1es": {0: 5.0}, "train_losses": {0: 1.0},
    "eval_acc1es": {"ori-test@0": 5.0}, "eval_losses": {"ori-test@0": 1.0},
}  # fmt: skip


def nats(**trial):
    results = {"dataset_seed": {"cifar10": [1]}, "all_results": {("cifar10", 1): TRIAL | trial}}
    names = [CELLS.format(CELLS.smallest)]
    return {"meta_archs": names, "arch2infos": {0: {"12": results}}}


NATS = {
    "a_list": [1],
    "no_infos": {"meta_archs": []},
    "a_list_of_infos": {"meta_archs": [], "arch2infos": []},
    "no_architectures": {"meta_archs": [], "arch2infos": {}},
    "an_index_too_high": {"meta_archs": [], "arch2infos": {0: {}}},
    "an_index_of_a_text": {"meta_archs": ["a"], "arch2infos": {"a": {}}},
    "indices_of_two_kinds": {"meta_archs": ["a"], "arch2infos": {"a": {}, 0: {}}},
    "infos_of_a_list": {"meta_archs": ["a"], "arch2infos": {0: [1]}},
    "infos_of_an_object": {"meta_archs": ["a"], "arch2infos": {0: {"12": {}}}},
    "epochs_of_a_text": nats(epochs="one"),
    "epochs_too_many": nats(epochs=9),
    "names_of_another": nats(eval_names=["other"]),
    "names_that_are_none": nats(eval_names=None),
    "an_accuracy_of_a_text": nats(train_acc1es={0: "good"}),
    "an_accuracy_of_lists": nats(train_acc1es={0: LISTS}),
    "no_losses": nats(eval_losses={}),
    "parameters_of_a_text": nats(params="many"),
    "a_latency_of_lists": nats(latency=LISTS),
    "a_latency_of_a_text": nats(latency=["slow"]),
    "a_huge_number": nats(params=10**400),
}
TABLES |= {f"hw_{n}.pickle": (table(CELLS), pickle.dumps(v)) for n, v in HARDWARE.items()}
TABLES |= {
    f"nats_{n}.pickle.pbz2": (table(CELLS), bz2.compress(pickle.dumps(v))) for n, v in NATS.items()
}

CASES = {
    **{f"accuracy_{name}": (accuracy, content) for name, content in ACCURACY.items()},
    **{f"latency_{name}": (latency, content) for name, content in LATENCY.items()},
    **{f"recorded_{name}": (recorded, content) for name, content in RECORDED.items()},
    **{f"table_{name}": case for name, case in TABLES.items()},
}
READERS = {
    "accuracy": accuracy,
    "latency": latency,
    "recorded": recorded,
    **{f"table_{form}": table(TOY, form) for form in ("csv", "parquet", "json", "nasbench101")},
    **{f"table_{form}": table(CELLS, form) for form in ("nats", "hwnas")},
}


def refused(reader, path):
    """What the error says; it must be one line that names the file."""
    with pytest.raises(NasplugError) as error:
        reader(path)
    said = str(error.value)
    assert path.name in said and said.isprintable() and len(said) < 2000
    assert "weights_only=False" not in said
    return said


@pytest.mark.parametrize("name", CASES)
def test_bad_files_are_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader, content = CASES[name]
    (tmp_path / name).write_bytes(content)
    refused(reader, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name], "something of the file was run"


def test_there_are_many_bad_files():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_one_line(name, tmp_path):
    refuse = {
        "missing": lambda path: None,
        "folder": Path.mkdir,
        "empty": Path.touch,
        "pipe": os.mkfifo,
        "loop": lambda path: path.symlink_to(path),
        "x" * 300: lambda path: None,
    }
    for kind, make in refuse.items():
        path = tmp_path / kind
        make(path)
        refused(READERS[name], path)
    refused(READERS[name], tmp_path / "empty" / "inside_a_file")
    with pytest.raises(NasplugError):
        READERS[name]("a\0b")


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_one_line(name, tmp_path, monkeypatch):
    """Refused by the system when it is opened; the tests may run as one who may read all."""
    path = tmp_path / "secret"
    path.write_bytes(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        real = io.open

        def locked(file, *more, **knobs):
            if str(file) == str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return real(file, *more, **knobs)

        monkeypatch.setattr("builtins.open", locked)
        monkeypatch.setattr("io.open", locked)
    refused(READERS[name], path)


def test_lines_and_columns_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(OWN + '0,ok,5,"[0,0,0]",,,\n1,ok,good,"[0,0,0]",,,\n')
    assert "line 3: top1 must be a number, but is 'good'" in refused(recorded, path)
    path.write_text(DYNAST + "\"{'depth': 1}\",5,5\n\"{'depth': 1}\",many,5\n")
    assert "line 3: MACs must be a number, but is 'many'" in refused(recorded, path)
    path.write_text(OWN + f"0,ok,5,{TOO_LONG},,,\n")
    assert "line 2 is no CSV: field larger" in refused(recorded, path)
    path.write_bytes((OWN + "0,ok,5").encode("utf-16"))
    assert "must be UTF-8" in refused(recorded, path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(OWN + '0,ok,5,"[0,0,0]",,,\n', encoding="utf-8-sig")
    assert list(recorded(path).values()) == [{"top1": 5.0}]


def test_a_word_among_numbers_is_announced(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text(
        'architecture,top1,good,note\n"[0,0,0]",5,1,a\n"[1,0,0]",bad,2,b\n"[1,1,0]",7,3,c\n'
    )
    assert list(Table(TOY, str(path)).metrics) == ["good"]
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: top1 is no metric, since it holds 'bad' in line 3"
    ]


def test_what_is_infinite_is_a_failure(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('architecture,top1\n"[0,0,0]",inf\n')
    (outcome,) = Table(TOY, str(path)).evaluate(full_trials([(0, 0, 0)]), ["top1"])
    assert "has an infinite top1" in outcome.error


def test_parquet_with_names_that_are_numbers_and_rows_that_are_named(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"7": [5.0, None]}, index=pd.Index(["[0,0,0]", "[1,0,0]"], name="arch"))
    frame["half"] = pd.array([1, None], dtype="Int64")
    frame.to_parquet(tmp_path / "a.parquet")
    found = Table(TOY, str(tmp_path / "a.parquet"))
    assert list(found.metrics) == ["7", "half"]
    assert found.evaluate(full_trials([(0, 0, 0)]), ["7", "half"])[0].values == {
        "7": 5.0,
        "half": 1.0,
    }


def test_a_damaged_file_of_a_folder_is_named(tmp_path):
    (tmp_path / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": ["a"]})))
    for name, content in {
        "000000.pickle.pbz2": bz2.compress(pickle.dumps([1])),
        "000009.pickle.pbz2": bz2.compress(pickle.dumps({})),
        "other.pickle.pbz2": bz2.compress(pickle.dumps({})),
        "00001.pickle.pbz2": GARBAGE,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NasplugError, match=name):
            table(CELLS)(tmp_path)
        (tmp_path / name).unlink()
    with pytest.raises(NasplugError, match="holds none"):
        table(CELLS)(tmp_path)


def test_all_blocks_of_a_latency_table_are_asked_for():
    assert len(_keys(224)) == 96


@pytest.mark.parametrize(
    "words",
    [
        ["+space=ofa_mbv3_w12", "evaluator=ofa_surrogate", "evaluator.accuracy=FILE"],
        ["+space=nasbench201", "evaluator.path=FILE", "evaluator.format=hwnas"],
    ],
)
def test_the_command_line_shows_one_line(words, tmp_path):
    (tmp_path / "bad").write_bytes(pickle.dumps([Code()]))
    words = [word.replace("FILE", str(tmp_path / "bad")) for word in words]
    command = [sys.executable, "-m", "nasplug", *words, "+strategy=random", "budget=3"]
    root = Path(nasplug.__file__).parents[1]
    path = os.pathsep.join([str(root), str(root / "plugins"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 1
    assert str(tmp_path / "bad") in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
