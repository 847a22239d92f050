"""The spaces of nni's hub, by name: every one encodes, builds, fits the task and runs."""

import numpy as np
import pytest
import torch
from nasplug_nni.nni3 import NasBench101Cell
from nasplug_nni.space.nni_space import NniSpace
from nni_nets import signature

import nasplug
from nasplug import seeded
from nasplug.contracts.types import full_trials
from nasplug.toolkit.networks.counting import multiply_adds, parameters

HUB = [name for name in nasplug.choices("space") if name.startswith("nni_")]


@pytest.fixture(scope="module", params=HUB)
def space(request):
    return nasplug.make("space", request.param, num_classes=7, in_channels=1, image_size=24)


def test_the_survey_is_there():
    names = "mobilenetv3 proxylessnas shufflenet autoformer nasnet enas amoebanet pnas darts"
    assert set(HUB) == {f"nni_{n}" for n in f"{names} nasbench101 nasbench201".split()}


def test_networks_run_on_the_task(space):
    (x,) = space.example_inputs(2)
    assert x.shape == (2, 1, 24, 24)
    archs = space.valid(space.sample(3, np.random.default_rng(0)))
    assert len({signature(space.build(arch)) for arch in archs}) == len(archs)
    with torch.no_grad():
        assert space.build(archs[0]).eval()(x).shape == (2, 7)


def drawn(space, seed):
    """A valid sample that nni draws: where a constraint is broken it raises, so again."""
    for attempt in range(100):
        sample = {}
        try:
            space.template.random(sample, np.random.RandomState(100 * seed + attempt))
        except ValueError:
            continue
        return sample
    raise AssertionError("nni draws no valid sample")


@pytest.mark.parametrize("seed", range(3))
def test_samples_of_nni_and_back(space, seed):
    sample = drawn(space, seed)
    arch = space.from_nni(sample)
    again = space.to_nni(arch)
    assert space.from_nni(again) == arch
    if not any(isinstance(m, NasBench101Cell) for m in space.template.modules()):
        on = space.active([arch])[0]
        taking_part = [o.label for o in space.encodings if on[space.places[o.label]].any()]
        assert taking_part
        assert all(again[label] == sample[label] for label in taking_part)


def test_costs_are_counted_on_the_network(space):
    arch = space.valid(space.sample(1, np.random.default_rng(1)))[0]
    costs = nasplug.make("evaluator", "costs", space=space)
    (outcome,) = costs.evaluate(full_trials([arch]), ["params", "macs"])
    network = space.build(arch)
    assert outcome.values["params"] == parameters(network)
    assert outcome.values["macs"] == multiply_adds(network, space.example_inputs(1)) > 0
    assert not list(costs.closed_form)


def test_without_a_task_networks_are_those_of_nni():
    space = NniSpace("nni.nas.hub.pytorch.NasBench201")
    network = space.build(space.smallest)
    assert space.example_inputs(1)[0].shape == (1, 3, 224, 224)
    assert network.classifier.out_features == 10 and network.stem[0].in_channels == 3


def test_channels_beyond_colour_read_the_colours_again():
    with seeded(0):
        plain = NniSpace("nni.nas.hub.pytorch.NasBench201")
        three = plain.build(plain.smallest).stem[0].weight
    with seeded(0):
        five = NniSpace("nni.nas.hub.pytorch.NasBench201", in_channels=5)
        weight = five.build(five.smallest).stem[0].weight
    assert torch.equal(weight, three[:, [0, 1, 2, 0, 1]])
