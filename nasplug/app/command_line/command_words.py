"""The words of a command line, told apart: flags, and overrides of the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nasplug.contracts.errors import NasplugError, unknown

VALUED = {"--cfg": "--cfg", "-c": "--cfg", "--package": "--package", "-p": "--package",
          "--config-dir": "--config-dir", "-cd": "--config-dir"}  # fmt: skip
PLAIN = {"--help": "--help", "-h": "--help", "--hydra-help": "--hydra-help", "--version": "--version",
         "--resolve": "--resolve", "--run": "--run", "-r": "--run", "--multirun": "--multirun",
         "-m": "--multirun", "--shell-completion": "--shell-completion",
         "-sc": "--shell-completion", "--info": "--info", "-i": "--info"}  # fmt: skip
QUIET = {"-q": "log=warning", "--quiet": "log=warning"}
VALUES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
COMMANDS = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")
"""Flags of which a command line may have one."""
COMPLETION = re.compile("(install|uninstall|query)=")
FLAGS = sorted({*VALUED.values(), *PLAIN.values(), "--quiet"})


@dataclass(frozen=True)
class Arguments:
    """A command line: flag to its value ("" where it has none), and the overrides in order."""

    flags: dict[str, str]
    overrides: list[str]

    @property
    def multirun(self) -> bool:
        """Several jobs, one for each combination of values."""
        return "--multirun" in self.flags or "hydra.mode=MULTIRUN" in self.overrides

    @property
    def config_dir(self) -> Path | None:
        """A folder of the user's own choices."""
        return Path(self.flags["--config-dir"]) if "--config-dir" in self.flags else None

    def for_hydra(self, overrides: Sequence[str]) -> list[str]:
        """The words that Hydra is given: overrides first, so that no flag takes one for its value."""
        flags = [word for flag, value in self.flags.items() for word in (flag, value) if word]
        return [*overrides, *flags]


def parse(words: Sequence[str]) -> Arguments:
    """Tell flags from overrides; an unknown flag is an error that says what to type."""
    flags: dict[str, str] = {}
    overrides: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            overrides.append(word)
        elif word in QUIET:
            overrides.append(QUIET[word])
        elif name in VALUED or (PLAIN.get(name) == "--info" and (equals or _is_info(left))):
            flag = VALUED.get(name, "--info")
            if not equals:
                value = left.pop(0) if left else ""
            flags[flag] = _checked(flag, value)
        elif word in PLAIN:
            flags[PLAIN[word]] = "all" if PLAIN[word] == "--info" else ""
        else:
            raise _unknown_flag(name, value or (left[0] if left else ""))
    commands = [flag for flag in COMMANDS if flag in flags]
    if len(commands) > 1:
        raise NasplugError(f"only one of {', '.join(commands)} can be given at a time")
    if "--shell-completion" in flags and not any(COMPLETION.match(word) for word in overrides):
        raise NasplugError("--shell-completion is told for which shell: nasplug -sc install=bash")
    if "--resolve" in flags and "--cfg" not in flags:
        raise NasplugError("--resolve goes with --cfg: --cfg job --resolve")
    if "--package" in flags and "--cfg" not in flags:
        raise NasplugError("--package goes with --cfg: --cfg job --package space")
    return Arguments(flags, overrides)


def _is_info(left: Sequence[str]) -> bool:
    return bool(left) and left[0] in VALUES["--info"]


def _checked(flag: str, value: str) -> str:
    if flag in VALUES and value not in VALUES[flag]:
        raise unknown(f"value of {flag}", value, VALUES[flag])
    if not value:
        raise NasplugError(f"{flag} must be followed by a value: {flag} VALUE")
    if flag == "--config-dir" and not Path(value).is_dir():
        raise NasplugError(f"--config-dir must be a folder of choices, but {value} is none")
    return value


def _unknown_flag(name: str, value: str) -> NasplugError:
    if name in ("--config-name", "-cn", "--config-path", "-cp", "--experimental-rerun"):
        return NasplugError(
            f"{name} cannot be given: every run starts from nasplug's own configuration; keep yours as "
            "FOLDER/experiment/NAME.yaml and type --config-dir FOLDER +experiment=NAME"
        )
    key = name.lstrip("-").replace("-", "_")
    near = get_close_matches(name, FLAGS, 1, cutoff=0.8)
    if near:
        return NasplugError(f"unknown flag {name!r}; did you mean {near[0]}?")
    word = f"{key}={value}" if value and "=" not in value else f"{key}=VALUE"
    if not re.fullmatch(r"\w+(\.\w+)*", key):
        word = "KEY=VALUE"
    return NasplugError(
        f"unknown flag {name!r}; settings are typed without dashes, {word}. Flags: {', '.join(FLAGS)}"
    )
