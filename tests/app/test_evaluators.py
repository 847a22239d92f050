"""The evaluators of a run: as many as the user likes, each metric measured by the first that knows it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nasplug import Evaluator, EvaluatorChain, Failure, Measurement, Metric, NasplugError
from nasplug.app.command_line.overrides import compose, open_keys
from nasplug.app.components import measuring, open_run
from nasplug.app.renamed_metrics import RenamedMetrics
from nasplug.contracts.types import full_trials

ROOT = Path(__file__).parents[2]
BASE = ("+space=ofa_mbv3", "+strategy=random", "budget=3")
RECORDED = "evaluators.phone=recorded", "evaluators.phone.results=[phone.csv]"


def write_recorded(path, name="latency"):
    """A file of measurements of a phone, whose `latency` is 1,000 and more."""
    space = measuring(compose(*BASE)).space
    archs = space.sample(24, np.random.default_rng(0)).tolist()
    rows = [{"architecture": str(list(a)), name: 1000.0 + sum(a)} for a in archs]
    pd.DataFrame(rows).to_csv(path, index=False)


def test_words_of_evaluators_become_hydra_s():
    assert open_keys(
        ["evaluators.phone=costs", "evaluators.phone.threads=2", "~evaluators.phone"]
    ) == [
        "+evaluator@evaluators.phone=costs",
        "evaluators.phone.threads=2",
        "~evaluator@evaluators.phone",
    ]
    assert open_keys(["evaluators.costs=costs", "evaluators.proxies=null"]) == [
        "evaluator@evaluators.costs=costs",
        "~evaluator@evaluators.proxies",
    ]
    assert open_keys(["evaluators.a.rename.x=y", "evaluator.rename={x: y}"]) == [
        "++evaluators.a.rename.x=y",
        "++evaluator.rename={x: y}",
    ]


def test_one_more_evaluator_measures_what_it_knows_before_the_defaults(cli):
    write_recorded("phone.csv")
    status, _, err = cli(*BASE, *RECORDED, "objectives=[latency,macs]", "run=a")
    assert status == 0, err
    assert (pd.read_csv("a/results.csv")["latency"] > 500).all()
    config = yaml.safe_load(Path("a/config.yaml").read_text())
    assert list(config["evaluators"]) == ["main", "phone", "costs", "proxies"]
    assert cli("mode=report", "run=a")[0] == 0


def test_two_devices_by_names_of_their_own(cli):
    write_recorded("phone.csv")
    rename = "evaluators.phone.rename={latency: phone_latency}"
    quick = "evaluators.costs.seconds=0.01"
    status, _, err = cli(
        *BASE, *RECORDED, rename, quick, "objectives=[latency,phone_latency]", "run=a"
    )
    assert status == 0, err
    table = pd.read_csv("a/results.csv")
    assert (table["phone_latency"] > 500).all() and (table["latency"] < 500).all()
    assert open_run("a").evaluator.metrics["phone_latency"].direction == "minimize"
    assert "phone_latency" in cli("mode=report", "run=a")[1]


def test_who_is_hidden_is_said(cli):
    write_recorded("phone.csv")
    more = [a.replace("phone", "tablet", 1) for a in RECORDED]
    status, _, err = cli(*BASE, *RECORDED, *more, "objectives=[latency,macs]")
    assert status == 0
    assert "latency is measured by evaluators.phone, which comes first; evaluators.tablet" in err


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["evaluators.phone=cost"], "unknown evaluator 'cost'; did you mean costs?"),
        (["evaluators.phone.threads=2"], "evaluators.phone=NAME, one of costs"),
        (["evaluators.phone=costs", "evaluators.phone.thread=2"], "did you mean threads?"),
        (["evaluators.main=costs"], "evaluators.main must be chosen: evaluator=NAME"),
        (["costs.threads=2"], "evaluators.costs.threads"),
        (["evaluator@costs=costs"], "evaluators.costs=costs"),
        (["evaluators.costs.rename.latenc=x"], "unknown metric to rename 'latenc'; did you mean latency"),
        (["evaluators.costs.rename.latency=macs"], "two would be called 'macs'"),
        (["~evaluators.phone"], "evaluators.phone"),
        (["~evaluators.proxies", "warmup.proxy=synflow"], "evaluators.proxies=NAME"),
    ],
)  # fmt: skip
def test_mistakes(cli, arguments, answer):
    status, _, err = cli(*BASE, "objectives=[params,macs]", *arguments)
    assert status == 1 and answer in err and err.count("\n") == 1, err


def test_the_default_evaluators_may_be_left_out(cli):
    status, _, err = cli(*BASE, "~evaluator", "evaluators.proxies=null", "run=a")
    assert status == 0, err
    assert list(pd.read_csv("a/results.csv"))[2:4] == ["params", "macs"]


class Device(Evaluator):
    """Counts architectures."""

    metrics = {"latency": Metric("ms", "minimize"), "energy": Metric("mJ", "minimize")}
    closed_form = ("latency", "energy")
    preferred_batch = 5

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        values = {"latency": 1.0, "energy": 2.0}
        return [
            Measurement({n: values[n] for n in names}, std={n: 0.1 for n in names})
            if arch != (9,)
            else Failure("no luck")
            for arch in archs
        ]


def test_renamed_metrics_are_the_evaluator_s_under_other_names():
    renamed = RenamedMetrics(Device(), {"latency": "phone"})
    assert list(renamed.metrics) == ["phone", "energy"]
    assert (renamed.closed_form, renamed.preferred_batch) == (("energy",), 5)
    chain = EvaluatorChain([renamed, Device()])
    one, failed = chain.evaluate(full_trials([(0,), (9,)]), ["latency", "phone", "energy"])
    assert one.values == {"phone": 1.0, "energy": 2.0, "latency": 1.0}
    assert set(one.std) == {"phone", "energy", "latency"} and failed.error == "no luck"
    swapped = RenamedMetrics(Device(), {"latency": "energy", "energy": "latency"})
    assert swapped.evaluate(full_trials([(0,)]), ["latency"])[0].values == {"latency": 2.0}
    with pytest.raises(NasplugError, match="unknown metric to rename 'speed'"):
        RenamedMetrics(Device(), {"speed": "x"})


def test_a_run_written_with_a_list_of_evaluators_is_read(cli):
    cli(*BASE, "objectives=[macs,params]", "run=a")
    path = Path("a/config.yaml")
    config = yaml.safe_load(path.read_text())
    config["evaluators"] = list(config["evaluators"].values())
    path.write_text(yaml.safe_dump(config))
    assert len(open_run("a").records) == 3


FEW = """
import sys
from importlib.metadata import EntryPoint
from nasplug.plugins import discovery
sys.path[:0] = {path}
names = ("nasplug_strategies", "nasplug_costs", "nasplug_acme")
discovery._entries = lambda: [EntryPoint(n, n, "nasplug") for n in names]
from nasplug.app.command_line.main import main
from nasplug.contracts.types import full_trials
main()
"""


def test_a_strategy_and_costs_are_enough_for_a_search(tmp_path):
    """No task, no main evaluator, no proxies, no wrapper: the app's defaults are optional."""
    path = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "examples" / "third_party")]
    command = [sys.executable, "-c", FEW.format(path=path)]
    arguments = ["+space=acme", "+strategy=random", "objectives=[macs]", "budget=5", "run=a"]
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "a" / "results.csv")) == 5
