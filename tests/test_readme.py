"""The README says what is so: its plug-in is the one in examples/, its choices are installed."""

import re
import shlex
from pathlib import Path

import nasplug
from nasplug.app.command_line.command_words import parse
from nasplug.app.command_line.words import check

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ACME = ROOT / "examples" / "third_party"


def blocks(language):
    """The fenced blocks of a language, "" for none."""
    found, current, kind = [], None, ""
    for line in README.splitlines(keepends=True):
        if not line.startswith("```"):
            if current is not None:
                current.append(line)
        elif current is None:
            current, kind = [], line[3:].strip()
        else:
            found.append((kind, "".join(current)))
            current = None
    return [text for kind, text in found if kind == language]


def test_the_three_files_are_shown_whole():
    for language, path in (
        ("toml", "pyproject.toml"),
        ("python", "nasplug_acme/space.py"),
        ("yaml", "nasplug_acme/conf/space/acme.yaml"),
    ):
        assert (ACME / path).read_text() in blocks(language), path


def test_every_command_is_made_of_known_words():
    commands = [
        line.split("&&")[-1].split("#")[0]
        for block in blocks("")
        for line in block.splitlines()
        if "python -m nasplug " in line
    ]
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)[3:]
        check(parse([w for w in words if "acme" not in w]))


def test_installed_choices_are_named():
    listed = set(re.findall(r"`(\w+)`", README.split("## Spaces")[1].split("## Write")[0]))
    for group in ("space", "strategy", "evaluator", "task", "training"):
        assert not set(nasplug.choices(group)) - listed, group


def test_python_blocks_compile():
    for block in blocks("python"):
        compile(block, "README.md", "exec")
