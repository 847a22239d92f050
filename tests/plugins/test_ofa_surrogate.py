"""The published predictors and tables: known answers, to the digits."""

import json

import numpy as np
import pytest
from nasplug_tables.ofa_surrogate.surrogate import OfaSurrogate

import nasplug
from nasplug import NasplugError
from nasplug.contracts.types import full_trials
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
    (outcome,) = surrogate(space, ofa, 192).evaluate(full_trials([arch]), ["top1", "latency"])
    assert round(outcome.values["latency"], 2) == answer["lut_ms"]
    assert round(outcome.values["top1"] / 100, 4) == answer["predicted_acc"]
    assert round(outcome.values["top1"], 3) == 81.713


@pytest.mark.parametrize("size", [160, 192, 224])
def test_the_extremes_of_the_tables(space, ofa, known, size):
    extremes = surrogate(space, ofa, size).evaluate(
        full_trials([space.smallest, space.largest]), ["latency"]
    )
    for outcome, name in zip(extremes, ("min_k3e3d2", "max_k7e6d4"), strict=True):
        assert round(outcome.values["latency"], 2) == known["lut_extremes_ms"][name][str(size)]


def test_the_extremes_of_the_predictor(space, ofa):
    low, high = surrogate(space, ofa).evaluate(
        full_trials([space.smallest, space.largest]), ["top1"]
    )
    assert round(low.values["top1"], 2) == 77.74
    assert round(high.values["top1"], 2) == 83.59


def test_resnet(ofa, known):
    space = nasplug.make("space", "ofa_resnet50")
    answer = known["resnet50_acc_predictor"]
    path = str(ofa / "ofa_resnet50_acc_predictor.pth")
    for arch, name in ((space.smallest, "min"), (space.largest, "max")):
        for size, value in zip(answer["image_size_list"], answer[name], strict=True):
            (outcome,) = OfaSurrogate(space, path, None, size).evaluate(
                full_trials([arch]), ["top1"]
            )
            assert round(outcome.values["top1"] / 100, 4) == value


@pytest.mark.parametrize("size", [128, 144, 240, 256])
def test_resnet_at_sizes_that_only_its_predictor_knows(ofa, size):
    """The command line's path, `prepare` with the space's own size, takes them too."""
    space = nasplug.make("space", "ofa_resnet50", image_size=size)
    OfaSurrogate(space, str(ofa / "ofa_resnet50_acc_predictor.pth")).prepare()


def test_mistakes(space, ofa):
    for size in (32, 112, 128, 225):
        with pytest.raises(NasplugError, match=f"must be one of 160, 176, .*but got {size}"):
            surrogate(space, ofa, size).prepare()
    with pytest.raises(NasplugError, match="is none"):
        OfaSurrogate(space, "missing.pth").prepare()
    with pytest.raises(NasplugError, match="is for 192"):
        OfaSurrogate(space, None, str(ofa / "note10_192_lookup_table.yaml"), 224).prepare()
    with pytest.raises(NasplugError, match="once-for-all networks"):
        OfaSurrogate(ToySpace(), str(ofa / "acc_predictor.pth")).prepare()
    with pytest.raises(NasplugError, match=r"predictor of this space, but .* is for ResNet-50"):
        OfaSurrogate(space, str(ofa / "ofa_resnet50_acc_predictor.pth")).prepare()
    assert OfaSurrogate(space).metrics == {}


OTHERS = {
    "width 1.0": ("ofa_mbv3", {}, "MobileNetV3 of width 1.2 with 1,000 classes"),
    "width 0.5": ("ofa_mbv3", {"width_mult": 0.5}, r"type \+space=ofa_mbv3_w12"),
    "10 classes": ("ofa_mbv3_w12", {"num_classes": 10}, "1,000 classes"),
    "grey images": ("ofa_mbv3_w12", {"in_channels": 1}, "1,000 classes"),
    "32 pixels": ("ofa_mbv3_w12", {"image_size": 32}, "image_size must be one of 160"),
    "ProxylessNAS": ("ofa_proxyless", {}, "MobileNetV3 of width 1.2"),
    "ResNet-50": ("ofa_resnet50", {}, "MobileNetV3 of width 1.2"),
    "ResNet-50 of 10 classes": ("ofa_resnet50", {"num_classes": 10}, "1,000 classes"),
}


@pytest.mark.parametrize("file", ["accuracy", "latency"])
@pytest.mark.parametrize("name", OTHERS)
def test_networks_that_the_files_do_not_describe_are_refused(name, file, ofa):
    choice, knobs, said = OTHERS[name]
    resnet = name.endswith("of 10 classes") and file == "accuracy"
    files = {
        "accuracy": ofa / ("ofa_resnet50_acc_predictor.pth" if resnet else "acc_predictor.pth"),
        "latency": ofa / "note10_224_lookup_table.yaml",
    }
    for size in (None, 224):
        evaluator = OfaSurrogate(
            nasplug.make("space", choice, **knobs), image_size=size, **{file: str(files[file])}
        )
        with pytest.raises(NasplugError, match=said) as error:
            evaluator.prepare()
        assert str(error.value).isprintable()
        blocks = choice.startswith("ofa_mbv3") or resnet
        assert ("extrapolate=true" in str(error.value)) == (blocks and name != "32 pixels")


def test_the_image_size_is_that_of_the_space(ofa, caplog):
    space = nasplug.make("space", "ofa_mbv3_w12", image_size=192)
    files = str(ofa / "acc_predictor.pth"), str(ofa / "note10_192_lookup_table.yaml")
    archs, names = [space.smallest, space.largest], ["top1", "latency"]
    own, told = OfaSurrogate(space, *files), OfaSurrogate(space, *files, 192)
    assert own.evaluate(full_trials(archs), names) == told.evaluate(full_trials(archs), names)
    own.prepare()
    assert not caplog.records
    OfaSurrogate(nasplug.make("space", "ofa_mbv3_w12"), *files, 192).prepare()
    assert "type space.image_size=192" in caplog.records[0].getMessage()


def test_figures_of_others_may_be_asked_for(space, ofa):
    """Of networks of the same blocks: a test problem for strategies."""
    narrow = nasplug.make("space", "ofa_mbv3", num_classes=10, image_size=32)
    path = str(ofa / "acc_predictor.pth")
    archs = space.valid(space.sample(5, np.random.default_rng(0)))
    asked = OfaSurrogate(narrow, path, image_size=224, extrapolate=True).evaluate(
        full_trials(archs), ["top1"]
    )
    assert asked == OfaSurrogate(space, path).evaluate(full_trials(archs), ["top1"])
    with pytest.raises(NasplugError, match="for the blocks of MobileNetV3"):
        other = nasplug.make("space", "ofa_proxyless")
        OfaSurrogate(other, path, extrapolate=True).prepare()
    with pytest.raises(NasplugError, match="must be one of 160"):
        OfaSurrogate(narrow, path, extrapolate=True).prepare()


def test_rounding_hides_the_batch(space, ofa):
    evaluator = surrogate(space, ofa)
    archs = space.valid(space.sample(40, np.random.default_rng(0)))
    together = evaluator.evaluate(full_trials(archs), ["top1"])
    alone = [evaluator.evaluate(full_trials([arch]), ["top1"])[0] for arch in archs]
    assert [o.values for o in together] == [o.values for o in alone]
