"""The published predictors and tables: known answers, to the digits."""

import json

import numpy as np
import pytest
from nasplug_tables.ofa_surrogate import OfaSurrogate

import nasplug
from nasplug import NasplugError
from nasplug.testing import EvaluatorContract, ToySpace


@pytest.fixture(scope="module")
def ofa(shared_data):
    return shared_data / "ofa"


@pytest.fixture(scope="module")
def known(ofa):
    return json.loads((ofa / "known_answers.json").read_text())


@pytest.fixture(scope="module")
def space():
    return nasplug.make("space", "ofa_mbv3_w12")


def surrogate(space, ofa, size=224):
    table = ofa / f"note10_{size}_lookup_table.yaml"
    latency = str(table) if table.exists() else None
    return OfaSurrogate(space, str(ofa / "acc_predictor.pth"), latency, size)


class TestMobileNet(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def evaluator(self, space, ofa):
        return surrogate(space, ofa)

    @pytest.fixture
    def space(self):
        return nasplug.make("space", "ofa_mbv3_w12")


def test_the_network_of_the_tutorial(space, ofa, known):
    answer = known["tutorial_note10_25ms"]
    arch = space.from_ofa(answer["config"])
    (outcome,) = surrogate(space, ofa, 192).evaluate([arch], ["top1", "latency"])
    assert round(outcome.values["latency"], 2) == answer["lut_ms"]
    assert round(outcome.values["top1"] / 100, 4) == answer["predicted_acc"]
    assert round(outcome.values["top1"], 3) == 81.713


@pytest.mark.parametrize("size", [160, 192, 224])
def test_the_extremes_of_the_tables(space, ofa, known, size):
    extremes = surrogate(space, ofa, size).evaluate([space.smallest, space.largest], ["latency"])
    for outcome, name in zip(extremes, ("min_k3e3d2", "max_k7e6d4"), strict=True):
        assert round(outcome.values["latency"], 2) == known["lut_extremes_ms"][name][str(size)]


def test_the_extremes_of_the_predictor(space, ofa):
    low, high = surrogate(space, ofa).evaluate([space.smallest, space.largest], ["top1"])
    assert round(low.values["top1"], 2) == 77.74
    assert round(high.values["top1"], 2) == 83.59


def test_resnet(ofa, known):
    space = nasplug.make("space", "ofa_resnet50")
    answer = known["resnet50_acc_predictor"]
    path = str(ofa / "ofa_resnet50_acc_predictor.pth")
    for arch, name in ((space.smallest, "min"), (space.largest, "max")):
        for size, value in zip(answer["image_size_list"], answer[name], strict=True):
            if 160 <= size <= 224:
                (outcome,) = OfaSurrogate(space, path, None, size).evaluate([arch], ["top1"])
                assert round(outcome.values["top1"] / 100, 4) == value


def test_mistakes(space, ofa):
    with pytest.raises(NasplugError, match="160 to 224"):
        surrogate(space, ofa, 128)
    with pytest.raises(NasplugError, match="is none"):
        OfaSurrogate(space, "missing.pth").prepare()
    with pytest.raises(NasplugError, match="is for 192"):
        OfaSurrogate(space, None, str(ofa / "note10_192_lookup_table.yaml"), 224).prepare()
    with pytest.raises(NasplugError, match="once-for-all networks"):
        OfaSurrogate(ToySpace(), str(ofa / "acc_predictor.pth")).prepare()
    with pytest.raises(NasplugError, match="predictor of this space"):
        OfaSurrogate(space, str(ofa / "ofa_resnet50_acc_predictor.pth")).prepare()
    assert OfaSurrogate(space).metrics == {}


def test_rounding_hides_the_batch(space, ofa):
    evaluator = surrogate(space, ofa)
    archs = space.valid(space.sample(40, np.random.default_rng(0)))
    together = evaluator.evaluate(archs, ["top1"])
    alone = [evaluator.evaluate([arch], ["top1"])[0] for arch in archs]
    assert [o.values for o in together] == [o.values for o in alone]
