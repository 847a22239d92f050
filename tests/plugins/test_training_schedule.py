"""Schedules: learning rates, phases, what decays, and which sub-networks a phase allows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nasplug_training.optimization import Optimization
from nasplug_training.schedule import Schedule
from nasplug_training.subspace import Subspace
from torch import nn

from nasplug import NasplugError
from nasplug.testing import ToySpace


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    schedule = Schedule(warmup=2).optimization
    rates = [schedule.rate(0.4, epoch, 10) for epoch in np.linspace(0, 10, 101)]
    assert rates[0] == 0 and max(rates) == pytest.approx(0.4) == rates[20]
    assert rates[60] == pytest.approx(0.2) and rates[-1] == pytest.approx(0)
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)


def test_batch_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    for optimizer in ("sgd", "adamw"):
        made = Schedule(weight_decay=0.1, optimizer=optimizer).make_optimizer(model)
        decay = {id(p): g["weight_decay"] for g in made.param_groups for p in g["params"]}
        assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
            "0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.weight": 0.1, "3.bias": 0.0
        }  # fmt: skip


def test_phases_replace_what_they_name() -> None:
    phases = [
        {"options": {"width*": 1}, "epochs": 3},
        {"lr": 0.5, "random": 7, "sort_channels": True},
    ]
    one, two = Schedule(epochs=9, lr=0.1, random=2, phases=phases).plan(ToySpace())
    assert (one.epochs, one.lr, one.random, one.sort_channels) == (3, 0.1, 2, False)
    assert (two.epochs, two.lr, two.random, two.sort_channels) == (9, 0.5, 7, True)
    assert one.subspace.allowed == [[0, 1, 2], [2], [2], [2]]
    assert two.subspace.allowed == [[0, 1, 2]] * 4


def test_a_subspace_holds_variables_to_their_options() -> None:
    space = ToySpace(widths=(8, 2, 4))
    part = Subspace(space, {"width*": 2, "width1": [2], "depth": [2, 3]})
    assert space.config(part.smallest) == {"depth": 2, "width1": 2, "width2": 4}
    assert space.config(part.largest) == {"depth": 3, "width1": 2, "width2": 8, "width3": 8}
    drawn = {tuple(arch) for arch in part.sample(200, np.random.default_rng(0))}
    assert drawn == {
        arch
        for arch in map(tuple, space.enumerate().tolist())
        if space.config(arch)["depth"] > 1
        and space.config(arch)["width1"] == 2
        and all(space.config(arch).get(name, 4) in (4, 8) for name in ("width2", "width3"))
    }


def test_the_ends_of_a_whole_space_are_the_spaces_own() -> None:
    space = ToySpace(widths=(8, 2, 4))
    assert (Subspace(space).largest, Subspace(space).smallest) == (space.largest, space.smallest)
    assert space.config(Subspace(space).middle) == {"depth": 2, "width1": 4, "width2": 4}


def test_draws_respect_validity() -> None:
    space = ToySpace(even=True)
    archs = Subspace(space).sample(50, np.random.default_rng(0))
    assert len(archs) == 50 and space.is_valid(archs).all()
    with pytest.raises(NasplugError, match="valid architectures"):
        Subspace(space, {"depth": [1], "width1": [4]}).sample(1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"optimizer": "sdg"}, "did you mean sgd"),
        ({"epochs": 0}, "epochs of training must be a number, at least 1, but got 0"),
        ({"lr": "abc"}, "lr of training must be a number, at least 0, but got 'abc'"),
        ({"phases": [{"epochs": "3"}]}, "epochs of training must be a number"),
        ({"largest": False, "smallest": False, "phases": [{}, {"random": 0}]}, "must train some"),
        ({"largest": False, "smallest": False, "random": 0}, "must train some"),
        ({"phases": [{"epoch": 3}]}, "did you mean epochs"),
        ({"phases": [{"options": {"kernel": [3]}}]}, "'kernel' matches none of depth"),
        ({"phases": [{"options": {"depth": [4]}}]}, r"depth some of \[1, 2, 3\]"),
        ({"phases": [{"options": {"depth": 4}}]}, "allows 1 to 3"),
    ],
)
def test_mistakes_are_named(knobs: dict, words: str) -> None:
    with pytest.raises(NasplugError, match=words):
        Schedule(**knobs).plan(ToySpace())


def test_an_optimizer_of_torch_goes_by_its_name():
    model = nn.Linear(2, 2)
    made = Optimization("RMSprop", 0.1, 0.9, 0.01, 0, 0).make_optimizer(model)
    assert isinstance(made, torch.optim.RMSprop)
    assert [(g["lr"], g["weight_decay"]) for g in made.param_groups] == [(0.1, 0.01), (0.1, 0.0)]
    with pytest.raises(NasplugError, match="unknown optimizer 'RMSProp'; did you mean RMSprop"):
        Optimization("RMSProp", 0.1, 0.9, 0.01, 0, 0)
