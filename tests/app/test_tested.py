"""Figures on test data: beside those that chose the front, of no influence on any search, never lost."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from light import LightEvaluator, LightSpace, LightStrategy
from nasplug_training.schedule import Schedule
from nasplug_training.supernet import SuperNetEvaluator
from nasplug_training.training import TrainingEvaluator
from planted import FLATTERY, PlantedEvaluator, find, planted

import nasplug
from nasplug import NasplugError, search
from nasplug.app.terminal import show
from nasplug.contracts.types import full_trials
from nasplug.testing import ToySpace, ToyTask

ALLOW = ["light", "planted"]
COLUMNS = [
    "number",
    "status",
    "good",
    "slow",
    "good_test",
    "architecture",
    "config",
    "seconds",
    "error",
]


def rows(run):
    return [(r.number, r.trial, getattr(r.outcome, "values", None)) for r in run.records]


def shown(folder, name="front.csv"):
    frame = pd.read_csv(folder / name)
    return frame.drop(columns=["seconds"])


def test_the_front_has_both_figures_and_nothing_else_has(tmp_path):
    evaluator = PlantedEvaluator()
    run = find(tmp_path / "r", evaluator=evaluator)
    front = pd.read_csv(tmp_path / "r" / "front.csv")
    assert list(front) == COLUMNS and len(front) == len(evaluator.asked) > 3
    np.testing.assert_allclose(front["good"] - front["good_test"], FLATTERY)
    pd.testing.assert_frame_equal(run.front()[["good", "good_test"]], front[["good", "good_test"]])
    assert evaluator.asked == [tuple(json.loads(text)) for text in front["architecture"]]
    assert "good_test" not in pd.read_csv(tmp_path / "r" / "results.csv")
    assert "good_test" not in run.table() and all(
        "good_test" not in (v or ()) for *_, v in rows(run)
    )
    assert "test" not in (tmp_path / "r" / "journal.log").read_text()


@pytest.mark.parametrize("other", [{"test": False}, {"evaluator": LightEvaluator()}])
def test_a_search_is_the_same_with_test_data_and_without(tmp_path, other):
    """Also one that goes on after its front was tested."""
    one, plain = find(tmp_path / "one", 12), find(tmp_path / "plain", 12, **other)
    assert rows(one) == rows(plain)
    assert "good_test" in one.front() and "good_test" not in plain.front()
    assert not (tmp_path / "plain" / "test.json").exists()
    assert rows(find(tmp_path / "one", 40)) == rows(find(tmp_path / "plain", 40, **other))
    results = [shown(tmp_path / name, "results.csv") for name in ("one", "plain")]
    pd.testing.assert_frame_equal(*results)


def test_what_is_known_is_not_measured_again(tmp_path):
    first = find(tmp_path / "r", 12)
    again = PlantedEvaluator()
    find(tmp_path / "r", 12, again)
    assert again.asked == []
    more = PlantedEvaluator()
    run = find(tmp_path / "r", 60, more)
    assert set(more.asked) == set(run.front_architectures()) - set(first.front_architectures())
    assert more.asked and run.front()["good_test"].notna().all()


def test_a_run_is_tested_when_its_command_is_typed_with_tests(tmp_path):
    assert "good_test" not in find(tmp_path / "r", test=False).front()
    assert find(tmp_path / "r").front()["good_test"].notna().all()
    assert "good_test" in find(tmp_path / "r", test=False).front()  # what is known is shown


def test_killed_while_it_tests_the_next_run_completes_it(tmp_path):
    whole = find(tmp_path / "whole")
    script = "import sys, planted as p; p.find(sys.argv[1], evaluator=p.planted(dies_at=3))"
    command = [sys.executable, "-c", script, str(tmp_path / "r")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    left = shown(tmp_path / "r")  # the search was over: its front is there, without test figures
    assert left["number"].tolist() == whole.front()["number"].tolist() and "good_test" not in left
    assert len(json.loads((tmp_path / "r" / "test.json").read_text())) == 2
    evaluator = PlantedEvaluator()
    run = find(tmp_path / "r", evaluator=evaluator)
    assert len(evaluator.asked) == len(run.front()) - 2 and rows(run) == rows(whole)
    pd.testing.assert_frame_equal(shown(tmp_path / "r"), shown(tmp_path / "whole"))
    assert (tmp_path / "r" / "test.json").read_bytes() == (
        tmp_path / "whole" / "test.json"
    ).read_bytes()
    assert not list((tmp_path / "r").glob("*.tmp"))


def test_ctrl_c_while_it_tests_leaves_what_is_known(tmp_path, monkeypatch):
    evaluator, known = PlantedEvaluator(), PlantedEvaluator.test_quality

    def interrupted(arch, names):
        if len(evaluator.asked) == 2:
            raise KeyboardInterrupt
        return known(evaluator, arch, names)

    monkeypatch.setattr(evaluator, "test_quality", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find(tmp_path / "r", evaluator=evaluator)
    assert shown(tmp_path / "r")["good_test"].notna().sum() == 2
    assert find(tmp_path / "r").front()["good_test"].notna().all()


def test_one_that_cannot_be_tested_is_a_line(tmp_path, caplog):
    run = find(tmp_path / "r", evaluator=planted(wrong="one"))
    n = len(run.front())
    assert (
        f"1 of {n} networks of the front could not be tested: RuntimeError: out of memory"
        in caplog.text
    )
    assert run.front()["good_test"].isna().tolist() == [i == 1 for i in range(n)]
    cells = list(csv.DictReader((tmp_path / "r" / "front.csv").read_text().splitlines()))
    assert cells[1]["good_test"] == "" and float(cells[0]["good_test"])
    assert find(tmp_path / "r").front()["good_test"].notna().all()


def test_a_reason_that_holds_for_all_is_said_once(tmp_path, caplog):
    evaluator = planted(wrong="all")
    run = find(tmp_path / "r", evaluator=evaluator)
    assert "the front is not tested: nobody may be tested" in caplog.text
    assert len(evaluator.asked) == 1 and "good_test" not in run.front()


def test_no_number_is_an_empty_cell(tmp_path, capsys):
    run = find(tmp_path / "r", evaluator=planted(wrong="numbers"))
    assert run.front()["good_test"].isna().all()
    show(run)
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"[1]": 3}', '{"x": {}}', '{"[1]": {"good": "x"}}', "[" * 9999]
)
def test_a_damaged_file_is_a_line_and_made_anew(tmp_path, caplog, text):
    whole = find(tmp_path / "r").front()
    file = tmp_path / "r" / "test.json"
    content = file.read_bytes()
    file.write_text(text)
    run = nasplug.open_run(tmp_path / "r", ALLOW)
    assert "good_test" not in run.front() and "test.json is damaged" in caplog.text
    assert find(tmp_path / "r").front()["good_test"].equals(whole["good_test"])
    assert file.read_bytes() == content


def test_a_report_shows_which_figure_is_which(tmp_path, capsys):
    find(tmp_path / "r")
    asked = nasplug.open_run(tmp_path / "r", ALLOW)
    show(asked)
    out = capsys.readouterr().out
    assert "good [%]" in out and "good_test [%]" in out
    assert "good: on validation data, which chose these; good_test: on test data, which no" in out
    assert asked.evaluator.evaluators[0].asked == []


def test_a_metric_of_that_name_keeps_it(tmp_path):
    """Another evaluator may have measured a `good_test` of its own."""

    class Own(LightEvaluator):
        metrics = {**LightEvaluator.metrics, "good_test": LightEvaluator.metrics["good"]}

        def _one(self, arch, names):
            outcome = super()._one(arch, [n for n in names if n != "good_test"])
            if "good_test" in names and isinstance(outcome, nasplug.Measurement):
                return nasplug.Measurement({**outcome.values, "good_test": 7.0})
            return outcome

        def test_quality(self, arch, names):
            return {"good": 1.0, "good_test": 2.0}

    front = find(tmp_path / "r", evaluator=Own(), also=["good_test"]).front()
    assert set(front["good_test"]) == {7.0} and set(front["good_test_test"]) == {2.0}
    assert list(front).count("good_test") == 1


def test_renamed_metrics_are_tested_under_their_names(tmp_path):
    from nasplug.app.renamed_metrics import RenamedMetrics

    part = RenamedMetrics(PlantedEvaluator(), {"good": "better"})
    run = nasplug.search(
        LightSpace(),
        part,
        LightStrategy(),
        ["better", "slow"],
        12,
        run=tmp_path / "r",
    )
    np.testing.assert_allclose(run.front()["better"] - run.front()["better_test"], FLATTERY)


# ---- networks ------------------------------------------------------------------------------------


class Other(ToyTask):
    """Test data of which everything is another class."""

    def test_quality(self, model, metrics):
        x, y = self._data(3)
        return {"top1": 100 * float((model(x).argmax(1) != y).float().mean())}


def inheriting(cache, **more):
    schedule = Schedule(epochs=2, batch_size=32, report_every=0)
    return SuperNetEvaluator(ToySpace(), Other(), schedule, cache=str(cache), **more)


def trained(cache, **more):
    return TrainingEvaluator(ToySpace(), Other(), epochs=1, batch_size=32, cache=str(cache), **more)


def on_networks(evaluator, folder, **more):
    costs = nasplug.make("evaluator", "costs", space=ToySpace())
    strategy = nasplug.make("strategy", "random")
    return search(ToySpace(), [evaluator, costs], strategy, ["top1", "macs"], 6, run=folder, **more)


@pytest.mark.parametrize("make", [inheriting, trained])
def test_it_is_the_network_that_was_measured(tmp_path, make):
    evaluator = make(tmp_path / "cache")
    run = on_networks(evaluator, tmp_path / "r", task=Other())
    front = run.front()
    for arch, value in zip(run.front_architectures(), front["top1_test"], strict=True):
        (outcome,) = evaluator.evaluate(full_trials([arch]), ["top1"])
        network = evaluator.network(arch)
        assert evaluator.task.quality(network, ["top1"])["top1"] == outcome.values["top1"]
        assert evaluator.task.test_quality(network, ["top1"])["top1"] == value
    assert not front["top1"].equals(front["top1_test"])


def test_what_is_exported_says_both(tmp_path):
    run = on_networks(inheriting(tmp_path / "cache"), tmp_path / "r")

    def metrics(**more):
        return json.loads((run.export(path=tmp_path / "e", **more) / "network.json").read_text())[
            "metrics"
        ]

    front = run.front().set_index("number")
    number = int(front.index[0])
    known = metrics(pick=number)
    assert known["top1"] == {"value": front["top1"][number], "unit": "%"}
    assert known["top1_test"] == {"value": front["top1_test"][number], "unit": "%"}
    assert set(known) == {"top1", "macs", "top1_test"}
    other = next(r for r in run.records if r.number not in front.index)
    assert "top1_test" in metrics(pick=other) and "top1_test" not in metrics(pick=other, test=False)


def test_weights_from_elsewhere_may_have_seen_a_share_of_the_training_data(
    tmp_path, monkeypatch, caplog
):
    on_networks(inheriting(tmp_path / "cache"), tmp_path / "r")
    (weights,) = (tmp_path / "cache").glob("*.safetensors")
    assert (
        "top1_test"
        in on_networks(
            inheriting(tmp_path / "cache", weights=str(weights)), tmp_path / "own"
        ).front()
    )
    monkeypatch.setattr(Other, "test_from_training", True)
    run = on_networks(inheriting(tmp_path / "cache", weights=str(weights)), tmp_path / "share")
    assert (
        "top1_test" not in run.front() and "may have been trained on the test data" in caplog.text
    )
    assert "top1_test" in on_networks(inheriting(tmp_path / "cache"), tmp_path / "here").front()


def test_networks_that_are_not_kept_are_not_trained_again(tmp_path, caplog):
    run = on_networks(trained(tmp_path / "cache", keep=False), tmp_path / "r")
    assert "top1_test" not in run.front() and "keep=false" in caplog.text


def test_a_task_without_test_data_is_asked_nothing(tmp_path, monkeypatch):
    class Without(ToyTask):
        test_quality = nasplug.Task.test_quality

    part = inheriting(tmp_path / "cache")
    part.task = Without()
    monkeypatch.setattr(part, "test_quality", lambda *_: pytest.fail("asked"))
    assert "top1_test" not in on_networks(part, tmp_path / "r", task=Without()).front()


def test_in_memory(tmp_path):
    front = find(None).front()
    np.testing.assert_allclose(front["good"] - front["good_test"], FLATTERY)


def test_a_wrong_knob(cli):
    with pytest.raises(NasplugError, match="test must be True or False, but got 'no'"):
        find(None, test="no")
    status, _, err = cli("+space=ofa_mbv3", "+strategy=random", "test=perhaps")
    assert status != 0 and "test must be true or false, but got 'perhaps'" in err
