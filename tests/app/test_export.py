"""An export is whole, or `nasplug.load` says what is wrong with it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nasplug
from nasplug import Evaluator, Measurement, NasplugError, search
from nasplug.testing import ToyEvaluator, ToySpace

SPACE = ToySpace()


class Inheriting(ToyEvaluator):
    """Has networks to export."""

    def network(self, arch):
        with nasplug.seeded(sum(arch)):
            return SPACE.build(arch).eval()


def exported(folder, **more):
    run = search(SPACE, Inheriting(), nasplug.make("strategy", "random"), ["score", "cost"], 5)
    return run, run.export(run.best("score").arch, folder, **more)


def message(folder):
    with pytest.raises(NasplugError) as caught:
        nasplug.load(folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_there_and_back(tmp_path):
    run, folder = exported(tmp_path / "e")
    network = Inheriting().network(run.best("score").arch)
    inputs = SPACE.example_inputs(3)
    assert torch.equal(nasplug.load(folder)(*inputs), network(*inputs))
    assert {f.name for f in folder.iterdir()} == {"network.json", "weights.safetensors"}


def test_files_are_as_others_are(tmp_path):
    _, folder = exported(tmp_path / "e")
    (tmp_path / "ordinary").touch()
    modes = {stat.S_IMODE(os.stat(f).st_mode) for f in (tmp_path / "ordinary", *folder.iterdir())}
    assert len(modes) == 1


def test_again_over_another(tmp_path):
    run, folder = exported(tmp_path / "e")
    other = min(run.records, key=lambda record: record.outcome.values["score"])
    run.export(other, folder)
    assert json.loads((folder / "network.json").read_text())["number"] == other.number
    assert nasplug.load(folder)


@pytest.mark.parametrize("place", range(4))
def test_interrupted(tmp_path, monkeypatch, place):
    """Before or after each of its files is put in place, over an older export."""
    run, folder = exported(tmp_path / "e")
    replace, done = os.replace, []

    def interrupted(source, target):
        if len(done) == place // 2 and place % 2 == 0:
            raise KeyboardInterrupt
        replace(source, target)
        done.append(target)
        if len(done) == place // 2 + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("nasplug.app.files.export.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.export(run.records[0], folder)
    monkeypatch.undo()
    if place == 3:  # all was in place
        assert nasplug.load(folder)
    else:
        assert "an export was interrupted" in message(folder)
    run.export(run.records[0], folder)
    assert nasplug.load(folder)


def test_killed(tmp_path):
    """Whenever it is: what is there loads, or is refused."""
    script = (
        f"import sys, pathlib; sys.path[:0] = {[str(Path(__file__).parents[2]), str(tmp_path)]!r}\n"
        "from app_export import exported\nrun, _ = exported(pathlib.Path('e'))\n"
        "print('go', flush=True)\nwhile True:\n"
        "    for record in run.records: run.export(record, 'e')\n"
    )
    (tmp_path / "app_export.py").write_text(Path(__file__).read_text())

    for pause in (0.0, 0.011, 0.023, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "go\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(pause)
        process.kill()
        process.wait()
        process.stdout.close()
        try:
            assert nasplug.load(tmp_path / "e")
        except NasplugError as error:
            assert "interrupted" in str(error)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    run, _ = exported(tmp_path / "e")
    with pytest.raises(NasplugError, match="must be writable"):
        run.export(run.records[0], tmp_path / "file" / "e")


DESCRIPTIONS = {
    "empty": "",
    "garbage": "\0\1\2",
    "half": '{"space": {"_target_": "nasplug',
    "null": "null",
    "a list": "[]",
    "a number": "3",
    "no space": '{"architecture": [0, 0, 0, 0]}',
    "a space by name": '{"space": "ofa", "architecture": [0, 0, 0, 0]}',
    "an architecture by name": '{"space": {}, "architecture": "0000"}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep mappings": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "a large number": '{"space": {}, "architecture": [' + "9" * 5000 + "]}",
}


@pytest.mark.parametrize("text", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_descriptions(tmp_path, text):
    _, folder = exported(tmp_path / "e")
    (folder / "network.json").write_text(text)
    assert "network.json" in message(folder)


@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_another_encoding(tmp_path, coding):
    _, folder = exported(tmp_path / "e")
    (folder / "network.json").write_bytes('{"ü": 1}'.encode(coding))
    assert "network.json" in message(folder)


WRONG = {
    "architecture": [
        [], [0], [0] * 9, [9, 0, 0, 0], [-1, 0, 0, 0], [0.0, 0, 0, 0], [None] * 4, [True, 0, 0, 0],
        ["0"] * 4, [[0]] * 4, [10**30, 0, 0, 0],
    ],
    "space": [
        {}, {"_target_": 3}, {"_target_": "nasplug.testing.fakes.ToySpace", "layer": 1},
        {"_target_": "nasplug.testing.fakes.ToySpace", "layers": "three"},
        {"_target_": "nasplug.testing.fakes.ToySpace", "layers": float("nan")},
        {"_target_": "nasplug.testing.fakes.ToySpace", "widths": [{}]},
        {"_target_": "nasplug.testing.fakes.ToySpace", "columns": -3},
        {"_target_": "nasplug.testing.fakes.ToySpace", "classes": 10**30},
        {"_target_": "nasplug.testing.fakes.ToySpace", "classes": 5},
        {"_target_": "nasplug.testing.fakes.Nothing"},
        {"_target_": "nasplug.testing.nothing.ToySpace"},
    ],
    "sha256": [3, [], {"weights.safetensors": 3}, {"weights.safetensors": "0" * 64}],
}  # fmt: skip
CASES = [(key, value) for key, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("key", "value"), CASES)
def test_values(tmp_path, key, value):
    _, folder = exported(tmp_path / "e")
    described = json.loads((folder / "network.json").read_text())
    (folder / "network.json").write_text(json.dumps({**described, key: value}))
    message(folder)


class TestWeights:
    @pytest.fixture(params=["with checksums", "as before there were any"])
    def folder(self, tmp_path, request):
        _, folder = exported(tmp_path / "e")
        if request.param != "with checksums":
            described = json.loads((folder / "network.json").read_text())
            del described["sha256"]
            (folder / "network.json").write_text(json.dumps(described))
            assert nasplug.load(folder)
        return folder

    def test_missing(self, folder):
        (folder / "weights.safetensors").unlink()
        assert "interrupted" in message(folder)

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
    def test_cut_short(self, folder, share):
        whole = (folder / "weights.safetensors").read_bytes()
        (folder / "weights.safetensors").write_bytes(whole[: int(share * len(whole))])
        assert "weights.safetensors" in message(folder)

    def test_garbage(self, folder):
        (folder / "weights.safetensors").write_bytes(os.urandom(1000))
        assert "weights.safetensors" in message(folder)

    def test_of_another_network(self, folder):
        save_file(SPACE.build((0, 0, 0, 0)).state_dict(), folder / "weights.safetensors")
        assert "weights.safetensors" in message(folder)

    def test_a_folder(self, folder):
        (folder / "weights.safetensors").unlink()
        (folder / "weights.safetensors").mkdir()
        message(folder)


def test_a_flipped_bit_is_seen(tmp_path):
    _, folder = exported(tmp_path / "e")
    whole = bytearray((folder / "weights.safetensors").read_bytes())
    whole[-3] ^= 1
    (folder / "weights.safetensors").write_bytes(whole)
    assert "checksum" in message(folder)


def test_an_evaluator_without_networks(tmp_path):
    class Plain(Evaluator):
        metrics = ToyEvaluator.metrics

        def evaluate(self, trials, names):
            archs = [trial.arch for trial in trials]
            return [Measurement({n: float(sum(a)) for n in names}) for a in archs]

    run = search(SPACE, Plain(), nasplug.make("strategy", "random"), ["score"], 3)
    with pytest.raises(NasplugError, match="no network to export"):
        run.export("score", tmp_path / "e")
    assert not (tmp_path / "e").exists()
