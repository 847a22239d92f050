"""Limits: refused where they are nonsense or can be kept by nothing, and told where nothing keeps them."""

import numpy as np
import pytest
from light import LightEvaluator, LightSpace, LightStrategy

import nasplug
from nasplug import NasplugError
from nasplug.app.checks.limits import _range, check_limits

BASE = ("+space=ofa_mbv3", "+strategy=random", "objectives=[params,macs]", "budget=12")


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        ({"q": {"maximum": 1}}, "q must be limits, under.q.max=NUMBER or under.q.min=NUMBER"),
        ({"q": {"min": 80, "max": 20}}, "under.q.min must be at most under.q.max"),
        ({"q": {"max": float("nan")}}, "under.q.max must be a finite number, but got nan"),
        ({"q": {"max": "5"}}, "under.q.max must be a finite number, but got '5'"),
        ({"q": {"max": True}}, "must be a finite number"),
        ({"q": {}}, "must be limits"),
        ({"q": 5}, "must be limits"),
        (5, "must be limits of metrics"),
    ],
)
def test_nonsense_is_refused(limits, answer):
    with pytest.raises(NasplugError, match=answer):
        check_limits("under", limits)


def light(**constraints):
    return nasplug.search(
        LightSpace(), LightEvaluator(fails=0), LightStrategy(), ["good", "slow"], 60,
        constraints=constraints,
    )  # fmt: skip


def test_under_says_what_it_must_be():
    with pytest.raises(NasplugError, match=r"under\.q must be limits"):
        light().best("knee", {"q": {"maximum": 1}})
    with pytest.raises(NasplugError, match="at most"):
        light().best("good", {"good": {"min": 3, "max": 2}})


def test_a_share_outside_of_0_to_100_is_refused():
    for limit in ({"min": 101}, {"max": -1}):
        with pytest.raises(NasplugError, match="can be kept by no architecture"):
            light(good=limit)


def test_limits_that_nothing_keeps_are_told_once_while_running_and_in_the_end(caplog):
    with caplog.at_level("WARNING", logger="nasplug"):
        run = light(slow={"max": 0.5})
    told = [r.message for r in caplog.records if "keeps the limits" in r.message]
    assert len(told) == 2 and told[0].startswith("after 50 architectures, no measured architecture")
    slow = run.table()["slow"]
    assert f"number {slow.argmin()}, slow {slow.min():g} (limit max=0.5)" in told[1]
    assert run.front().empty
    caplog.clear()
    with caplog.at_level("WARNING", logger="nasplug"):
        light(slow={"max": 40})
    assert not caplog.records


def test_the_range_of_a_cost_is_what_all_architectures_have():
    space = nasplug.make("space", "nasbench_macro", num_classes=10)
    costs = space.costs(space.enumerate())["params"]
    assert _range(space, "params") == (costs.min(), costs.max())


def test_the_range_of_a_large_space_is_beyond_a_sample():
    space = nasplug.make("space", "ofa_mbv3", num_classes=10, in_channels=1, image_size=24)
    found = space.costs(space.sample(2000, np.random.default_rng(1)))["macs"]
    low, high = _range(space, "macs")
    assert low < found.min() and high > found.max()
    assert low == space.costs([space.smallest])["macs"][0]


@pytest.mark.parametrize("limit", ["macs.max=1e3", "params.min=1e12"])
def test_a_cost_that_no_architecture_has_is_refused_before_anything_is_written(
    cli, tmp_path, limit
):
    status, _, err = cli(*BASE, f"constraints.{limit}")
    assert status == 1 and "can be kept by no architecture: the " in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_model_for_colour_pictures_on_grey_ones_is_told_before_training(cli):
    arguments = ["+space=nni", "space.model=colour_net.ColourNet", "+strategy=random", "budget=2"]
    status, _, err = cli(*arguments)
    (line,) = [text for text in err.splitlines() if text.startswith("nasplug: ")]
    assert status == 1 and "training" not in err
    assert "must work on the task's inputs, of shape (1, 24, 24), but: " in line
    assert "3 channels" in line and "task=NAME" in line
    status, _, err = cli("mode=train", *arguments[:2])
    assert status == 1 and "must work on the task's inputs" in err
