"""The suites on the text space, its task, the evaluator by a command, and the finalizer."""

import sys

import pytest
import torch
from nasplug_acme.command import AcmeCommand
from nasplug_acme.rounding import AcmeRounding
from nasplug_acme.space import AcmeSpace
from nasplug_acme.text import AcmeText
from nasplug_acme.words import AcmeWords

import nasplug
from nasplug import Failure, NasplugError, Trial
from nasplug.testing import EvaluatorContract, SpaceContract, SuperNetworkContract, TaskContract

SCRIPT = """
import json, pathlib, sys
from safetensors import safe_open
folder = pathlib.Path(sys.argv[1])
with safe_open(folder / "weights.safetensors", "np") as file:
    count = sum(file.get_tensor(name).size for name in file.keys())
depth = json.loads((folder / "network.json").read_text())["config"]["depth"]
print("measuring")
print(json.dumps({"weights": count, "layers": depth}))
"""
MEASURES = {name: {"unit": "", "direction": "minimize"} for name in ("weights", "layers")}


class TestAcmeText(SpaceContract):
    @pytest.fixture
    def space(self):
        return AcmeText(length=5)


class TestItsSuperNetwork(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return AcmeText()


class TestAcmeWords(TaskContract):
    @pytest.fixture
    def task(self):
        return AcmeWords(samples=64)

    @pytest.fixture
    def model(self):
        return AcmeText().build(AcmeText().smallest)


def command(program, **knobs):
    words = f"{sys.executable} {program} {{folder}}"
    return AcmeCommand(AcmeSpace(widths=[4, 8]), words, MEASURES, **knobs)


class TestAcmeCommand(EvaluatorContract):
    @pytest.fixture
    def space(self):
        return AcmeSpace(widths=[4, 8])

    @pytest.fixture
    def evaluator(self, tmp_path):
        (tmp_path / "measure.py").write_text(SCRIPT)
        return command(tmp_path / "measure.py")

    def test_what_the_command_says_is_the_value(self, evaluator, space):
        arch = space.largest
        (outcome,) = evaluator.evaluate([Trial(arch)], ["weights", "layers"])
        count = sum(p.numel() for p in space.build(arch).parameters())
        assert outcome.values == {"weights": count, "layers": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import time; time.sleep(60)", "took more than 2 s"),
        ("raise SystemExit('no phone')", "ended with status 1: no phone"),
        ("print('fast')", "must print a JSON object with weights, not 'fast"),
        ("print('[3]')", "must print a JSON object"),
        ("print('{\"layers\": 3}')", "must print a JSON object"),
        ("print('{\"weights\": NaN}')", "must print a JSON object"),
        ("", "must print a JSON object"),
    ],
)
def test_what_goes_wrong_is_a_failure(text, words, tmp_path):
    (tmp_path / "wrong.py").write_text(text)
    evaluator = command(tmp_path / "wrong.py", timeout=2.0)
    (outcome,) = evaluator.evaluate([Trial((0, 0, 0, 0))], ["weights"])
    assert isinstance(outcome, Failure) and words in outcome.error


def test_a_command_must_say_where_the_folder_goes():
    with pytest.raises(NasplugError, match=r"must have \{folder\}"):
        AcmeCommand(AcmeSpace(), "true", MEASURES)


def test_rounding_leaves_few_values_a_channel_and_nearly_the_network():
    space = AcmeText()
    with nasplug.seeded(0):
        network, other = (space.build(space.largest).eval() for _ in range(2))
    other.load_state_dict(network.state_dict())
    rounded = AcmeRounding(bits=4).finalize(other, [])
    for before, after in zip(network.parameters(), rounded.parameters(), strict=True):
        if before.ndim > 1:
            assert all(len(row.unique()) <= 15 for row in after)
            step = before.abs().amax(1, keepdim=True) / 7
            assert ((before - after).abs() <= step / 2 + 1e-6).all()
        else:
            assert torch.equal(before, after)
