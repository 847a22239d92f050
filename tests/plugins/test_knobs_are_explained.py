"""Every knob in the YAML of the strategies, predictors and nni spaces has a comment."""

import re
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
NAMES = ("strategies", "oneshot", "predictors", "nni")
FILES = sorted(f for name in NAMES for f in (PLUGINS / f"nasplug_{name}" / "conf").rglob("*.yaml"))


def unexplained(text):
    """Lines `knob: value` without a comment on them, nor on a line of its own before."""
    found, before = [], ""
    for line in text.splitlines():
        knob = re.match(r"\s*(?!_target_)(\w+): +[^#\s]", line)
        if knob and "#" not in line and not before.startswith("#"):
            found.append(knob[1])
        before = line
    return found


def test_what_is_not_explained_is_found():
    assert unexplained("# of it\n_target_: a.B\ndepth: 3\nwidth: 2  # of a layer\n") == ["depth"]
    assert unexplained("args:\n  first: 1\n# why\nsecond: 2\n") == ["first"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_knob_has_a_comment(file):
    assert not unexplained(file.read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_the_first_line_says_what_the_choice_is(file):
    assert file.read_text().startswith("# ")
