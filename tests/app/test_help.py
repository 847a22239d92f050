"""--help explains every setting; comments are read from the YAML files."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import nasplug
from nasplug.app.command_line.comments import Knob, inner_choices, knobs, summary
from nasplug.plugins.choices import config_dirs, groups

ROOT = Path(__file__).parents[2]

YAML = """\
# What it is,
# in two lines
defaults:
  - /predictor@inner: gp
  - override /task@_global_.task: digits
  - _self_
_target_: a.B
plain: 5         # a number
# said above,
# in two lines
above: "a # b"
nothing: null
empty:           # nothing at all
flow: {a: 1, b: [2, 3]}  # a mapping
many: [1,        # not this
  2]             # over two lines
block:           # has parts
  one: 1         # the first
  two:           # a list
    - x
    - y
"""


def test_comments_are_beside_a_knob_or_above_it(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(YAML)
    assert summary(path) == "What it is, in two lines"
    assert inner_choices(path) == [("predictor", "inner", "gp")]
    found = {k.key: k for k in knobs(path)}
    assert found["plain"] == Knob("plain", "5", "a number")
    assert found["above"] == Knob("above", '"a # b"', "said above, in two lines")
    assert found["nothing"] == Knob("nothing", "null", "")
    assert found["empty"].comment == "nothing at all"
    assert found["flow"] == Knob("flow", "{a: 1, b: [2, 3]}", "a mapping")
    assert found["many"] == Knob("many", "[1, 2]", "over two lines")
    assert found["block"].comment == "has parts"
    assert found["block.one"] == Knob("block.one", "1", "the first")
    assert found["block.two"].comment == "a list"


def test_help_explains_every_setting(cli):
    status, out, err = cli("--help")
    assert (status, err) == (0, "")
    settings = out.split("Settings")[1].split("Flags")[0].splitlines()[1:]
    assert len([line for line in settings if line.strip()]) >= 20
    for line in filter(None, settings):
        assert "  # " in line, line
    for group in groups():
        assert f"  {group}: {', '.join(nasplug.choices(group))}" in out
    for key in ("budget=100", "constraints={}", "correlate.n=300", "evaluators={}", "seed=0"):
        assert f"  {key} " in out


def test_help_of_a_choice_shows_its_settings_and_those_inside(cli):
    status, out, _ = cli("+strategy=linas", "--help")
    assert status == 0 and "Choices" not in out
    assert out.startswith("+strategy=linas")
    (path,) = [f for d in config_dirs().values() for f in d.glob("strategy/linas.yaml")]
    (knob,) = [k for k in knobs(path) if k.key == "predictors"]
    assert "  strategy.predictors={}" in out and f"# {knob.comment}" in out and knob.comment
    assert "\nstrategy@strategy.inner=nsga2" in out
    assert "  strategy.inner.population=50" in out and "  strategy.predictor." in out
    out = cli("--help", "evaluator=recorded", "evaluators.phone=table", "budget=5")[1]
    assert "  evaluator.results=[]" in out and "  evaluators.phone.path=null" in out
    assert "  evaluator.predictor.standardise=false" in out  # what the choice around it changes


@pytest.mark.parametrize("group", [g for g in groups() if g != "experiment"])
def test_help_of_every_choice(cli, group):
    for choice in nasplug.choices(group):
        status, out, _ = cli("--help", f"{group}={choice}")
        assert status == 0 and f"{group}={choice}" in out.splitlines()[0]


def test_help_and_version_are_quick(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    for flag, answer in (("--help", "Settings"), ("--version", "nasplug 0.")):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "nasplug", flag], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert answer in done.stdout
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
