"""To be installed is to be tested: every choice of every group is composed, checked and built."""

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_object

import nasplug
from nasplug.app.command_line.comments import inner_choices, knobs
from nasplug.app.command_line.overrides import compose
from nasplug.plugins.building import accepts, build
from nasplug.plugins.choices import config_dir, config_dirs, groups
from nasplug.testing import ToySpace, ToyTask, check_described

GIVEN = {"space", "task", "strategy", "proxies"}
"""What the core hands to a constructor that has such a parameter."""
DEFAULTED = ("task", "evaluator", "executor", "mode")
CHOICES = [(g, c) for g in groups() if g != "experiment" for c in nasplug.choices(g)]


def node(group, choice):
    return compose(f"{'' if group in DEFAULTED else '+'}{group}={choice}")[group]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_yaml_lists_every_knob_with_its_default(group, choice):
    config = node(group, choice)
    parameters = inspect.signature(get_object(config["_target_"])).parameters
    if group == "mode":
        assert list(parameters) == ["cfg"]
        return
    assert set(config) - {"_target_"} == set(parameters) - GIVEN
    for name, parameter in parameters.items():
        assert parameter.kind is not parameter.VAR_KEYWORD, "swallows keywords"
        assert parameter.annotation is not parameter.empty, f"{name} has no type"


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c[0] != "mode"])
def test_builds(group, choice):
    config = node(group, choice)
    wrapped = {
        "strategy": nasplug.make("strategy", "random"),
        "proxies": nasplug.make("evaluator", "proxies", space=ToySpace()),
    }
    part = build(config, **accepts(config, space=ToySpace(), task=ToyTask(), **wrapped))
    check_described(part)


def unexplained():
    """Every setting of an installed choice, or of nasplug itself, that no comment explains."""
    for folder in (Path(config_dir()), *config_dirs().values()):
        for file in sorted(folder.rglob("*.yaml")):
            if file.parent.name != "experiment":  # which only set what other files explain
                for knob in knobs(file):
                    if not knob.comment and not _given(file, knob.key):
                        yield f"{file.parent.name}/{file.name}: {knob.key}"


def _given(file, key):
    """Whether a setting is a mere reference to one of config.yaml, or changes that of a part inside."""
    inside = {name for _, name, _ in inner_choices(file)}
    value = {k.key: k.default for k in knobs(file)}[key]
    return key.split(".")[0] in inside or value == "${" + key + "}"


def test_every_setting_has_a_comment():
    assert not list(unexplained())


@pytest.mark.parametrize("experiment", nasplug.choices("experiment"))
def test_experiments_compose(experiment):
    config = compose(f"+experiment={experiment}")
    assert config.space and config.strategy


def test_make_changes_arguments():
    executor = nasplug.make("executor", "processes", workers=3)
    assert executor.workers == 3


def test_make_answers_mistakes():
    with pytest.raises(
        nasplug.NasplugError, match="unknown executor 'seriall'; did you mean serial"
    ):
        nasplug.make("executor", "seriall")
    with pytest.raises(nasplug.NasplugError, match="unknown argument of Processes 'worker'"):
        nasplug.make("executor", "processes", worker=3)
    with pytest.raises(
        nasplug.NasplugError, match="workers of Processes must be int, at least 1, but got 'two'"
    ):
        nasplug.make("executor", "processes", workers="two")
    with pytest.raises(nasplug.NasplugError, match="unknown group 'spaces'; did you mean space"):
        nasplug.choices("spaces")
