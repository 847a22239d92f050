"""Spaces from nni's model spaces: the contract, nni's samples, its traps and what users mistake."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import nni_nets
import numpy as np
import pytest
import torch
from nasplug_nni.nni3 import model_context
from nasplug_nni.space.nni_space import NniSpace
from torch import nn

import nasplug
from nasplug import NasplugError, seeded
from nasplug.testing import SpaceContract

DIMS = {"num_classes": 10, "in_channels": 1, "image_size": 8}


def own(name, **knobs):
    return NniSpace(f"nni_nets.{name}", **{**DIMS, **knobs})


class Contract(SpaceContract):
    samples = 2

    def signature(self, network):
        return nni_nets.signature(network)


class TestSkip(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return own("Skip")


class TestNested(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return own("Nested")


class TestValues(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return own("Values")


class TestShifted(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Shifted", input_shape=[2, 4])


class TestNasBench101(Contract):
    """Graphs that differ in what leads nowhere are one architecture."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        args = {"stem_out_channels": 4, "num_stacks": 1, "num_modules_per_stack": 1,
                "max_num_vertices": 4, "max_num_edges": 4}  # fmt: skip
        return NniSpace("nni.nas.hub.pytorch.NasBench101", args, **DIMS)

    def test_sampling_reaches_every_option(self, space):
        """Save where it would lead nowhere: the first node's input, the last node's output."""
        alone = ("cell/input1[0]", "cell/input3[2]")
        drawn = space.sample(2000, np.random.default_rng(0))
        on = space.active(drawn)
        for j, variable in enumerate(space.variables):
            options = {1} if variable.name in alone else set(range(len(variable.options)))
            assert set(drawn[on[:, j], j]) == options, variable.name


class TestDartsWithWidthAndDepth(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        args = {"width": [4, 8], "num_cells": [3, 4], "dataset": "cifar"}
        return NniSpace("nni.nas.hub.pytorch.DARTS", args, **DIMS)


def test_what_takes_part():
    when = {v.name: v.when for v in own("Nested").variables}
    assert when["inner"] == ({"outer": ("act",)},)
    assert when["block0"] == ({"depth": (1, 2)},) and when["block1"] == ({"depth": (2,)},)
    assert when["outer"] == when["some[1]"] == ()


def test_sizes():
    assert own("Skip").size == 2 * 3 * 2
    assert own("Nested").size == (1 + 2) * (1 + 2 + 4) * 3 * 4
    assert own("Values").size == 3 * 7  # one of four pairs breaks the constraint
    assert NniSpace("nni.nas.hub.pytorch.NasBench201").size == 5**6
    with pytest.raises(NasplugError, match="2097152 raw combinations"):
        _ = NniSpace("nni.nas.hub.pytorch.NasBench101", {"stem_out_channels": 4}).size


def test_constraints_say_what_is_valid():
    space = own("Values")
    valid = {
        (v, k) for v, k, _ in (space.config(a).values() for a in space.valid(space.enumerate()))
    }
    assert valid == {(4, 3), (4, 5), (8, 3)}
    with pytest.raises(NasplugError, match="constraints"):
        space.from_nni({"width": 8, "kernel": 5, "slope": 0.25})


def test_numbers_lie_on_the_grid():
    (slope,) = (v for v in own("Values", granularity=1).variables if v.name == "slope")
    assert slope.options == (0.25,)
    assert len(own("Values", granularity=2).variables[2].options) == 3


def test_samples_of_nni_go_both_ways():
    space = own("Nested")
    sample = {"outer": "act", "inner": "tanh", "depth": 1, "block0": 1, "pair": [2, 0], "some": [1]}
    arch = space.from_nni({**sample, "another": 3})
    known = space.to_nni(arch)
    assert known == {**sample, "pair": [0, 2], "block1": 0}
    assert space.from_nni(known) == arch
    taking_part = {k: v for k, v in known.items() if k != "block1"}  # the depth is 1
    assert space.config(arch) == taking_part
    assert space.arch(json.loads(json.dumps(taking_part))) == arch
    with pytest.raises(NasplugError, match="unknown choice 'innner'; did you mean inner"):
        space.arch({"innner": "tanh"})
    skip = own("Skip")
    assert skip.from_nni({"net/1": 0, "net/2": 2, "net/3": 1}) == (0, 2, 1), "a bare input"
    assert skip.to_nni((0, 2, 1))["net/3"] == [1]


def test_cells_name_operations_by_text():
    space = own("Cells")
    sample = {"cell/op_1_0": "1", "cell/op_2_0": "0", "cell/input_1_0": [0], "cell/input_2_0": [1]}
    arch = space.from_nni(sample)
    assert space.to_nni(arch) == sample
    assert isinstance(space.build(arch).cell.ops[0][0], nn.MaxPool2d)
    with pytest.raises(NasplugError, match=r"cell/op_1_0' must be one of \('0', '1'\), but got 1"):
        space.from_nni({**sample, "cell/op_1_0": 1})


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("Nested", {"depth": 3}, r"'depth' must be one of \(0, 1, 2\), but got 3"),
        ("Nested", {"pair": [1]}, "'pair' must be one of"),
        ("Nested", {"some": [1, 1]}, "'some' must be a list of some of"),
        ("Skip", {"net/1": True}, "'net/1' must be one of"),
        ("Skip", {"net/2": "1"}, "'net/2' must be one of"),
    ],
)
def test_wrong_samples(name, changes, words):
    space = own(name)
    with pytest.raises(NasplugError, match=words):
        space.from_nni({**space.to_nni(space.smallest), **changes})
    with pytest.raises(NasplugError, match="must have a value"):
        space.from_nni({})


# ---- traps of nni -------------------------------------------------------------------------------


def test_networks_share_nothing_though_frozen_ones_do():
    def touched(build):
        """Whether filling one network changes the next."""
        with torch.no_grad():
            for parameter in build().parameters():
                parameter.fill_(7)
        return any((p == 7).all() for p in build().parameters())

    space = own("Skip")
    sample, live = space.to_nni(space.smallest), nni_nets.Skip()
    assert touched(lambda: live.freeze(sample)), "the naive way"
    assert not touched(lambda: space.build(space.smallest))


def test_weights_come_from_the_seed_though_frozen_ones_do_not():
    space = own("Skip")
    sample, live = space.to_nni(space.smallest), nni_nets.Skip()

    def first(seed, build):
        with seeded(seed):
            return build().stem.weight

    assert torch.equal(*(first(seed, lambda: live.freeze(sample)) for seed in (0, 1))), "naive"
    assert not torch.equal(*(first(seed, lambda: space.build(space.smallest)) for seed in (0, 1)))


def test_automatic_labels_are_not_shifted():
    space, live = NniSpace("nni_nets.Shifted"), nni_nets.Shifted()
    naive_is_wrong = 0
    for arch in space.valid(space.enumerate()):
        sample = space.to_nni(arch)
        with model_context(sample):
            naive = nni_nets.Shifted()
        truth = repr(live.freeze(sample))
        assert repr(space.build(arch)) == truth
        naive_is_wrong += repr(naive) != truth
    assert naive_is_wrong > 5


def test_built_networks_stand_alone(tmp_path):
    space = own("Nested")
    network = space.build(space.largest).eval()
    (x,) = space.example_inputs(2)
    again = copy.deepcopy(network)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(again(x), network(x))


# ---- where a space comes from -------------------------------------------------------------------


def test_from_a_class_and_from_an_instance():
    named = own("Skip")
    for model in (nni_nets.Skip, nni_nets.Skip(1, width=6)):
        space = NniSpace(model, **DIMS)
        assert space.variables == named.variables and space.model == named.model
    assert space.args == {"in_channels": 1, "width": 6}
    assert space.build(space.smallest).head.in_features == 6


def test_what_the_task_decides_goes_to_the_constructor():
    network = own("Skip", num_classes=7, in_channels=2).build((0, 0, 0))
    assert network.head.out_features == 7 and network.stem.in_channels == 2
    args = {"in_channels": 3}
    assert NniSpace(nni_nets.Skip, args, in_channels=2).build((0, 0, 0)).stem.in_channels == 3


@pytest.mark.parametrize(
    ("model", "args", "words"),
    [
        ("Skip", {}, "must be package.module.Class, but got 'Skip'"),
        ("no_such_module.Net", {}, "cannot: No module named 'no_such_module'"),
        ("nni_nets.Skipp", {}, "cannot: module 'nni_nets' has no attribute 'Skipp'"),
        ("nni_nets.NotASpace", {}, "must be a subclass of nni.nas.nn.pytorch.ModelSpace"),
        ("nni_nets.own", {}, "cannot"),
        ("nni_nets.Unlabelled", {}, "has no label; give every choice label="),
        ("nni_nets.Unsupported", {}, "'strange' is Strange"),
        ("nni_nets.Choiceless", {}, "must have choices"),
        ("nni_nets.Skip", {"widht": 3}, "unknown argument of Skip 'widht'; did you mean width"),
        ("nni_nets.Skip", {"width": "x"}, "must be built with"),
    ],
)
def test_mistakes_are_one_line(model, args, words):
    with pytest.raises(NasplugError, match=words) as error:
        NniSpace(model, args)
    assert "\n" not in str(error.value)


def test_other_jobs_never_load_nni():
    root = Path(__file__).parents[2]
    script = (
        f"import sys; sys.path[:0] = {[str(root), str(root / 'plugins')]}\n"
        "import nasplug\n"
        "nasplug.make('space', 'ofa_mbv3', width_mult=0.1).build\n"
        "nasplug.make('strategy', 'linas'), nasplug.choices('space')\n"
        "print({'nni', 'pytorch_lightning', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_searched_models():
    space = nasplug.make("space", "nni_darts")
    sample = space.to_nni(space.published_architecture("darts-v2"))
    assert sample["normal/op_5_1"] == "dil_conv_3x3" and sample["reduce/input_4_1"] == [2]
    arch = nasplug.make("space", "nni_proxylessnas").published_architecture("proxyless-mobile")
    assert len(arch) == 26
    with pytest.raises(NasplugError, match="Unsupported architecture with name: darts-v9"):
        space.published_architecture("darts-v9")
    small = nasplug.make("space", "nni_mobilenetv3")
    with pytest.raises(
        NasplugError, match=r"args \{.*'base_widths'.*expand_ratios.*must be one of"
    ):
        small.published_architecture("mobilenetv3-large-100")
    with pytest.raises(NasplugError, match=r"must hold 'mobilenetv3-small-100'.*must be one of"):
        small.published_architecture("mobilenetv3-small-100")
