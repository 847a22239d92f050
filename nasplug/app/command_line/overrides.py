"""From the words that users type to Hydra's overrides, and to the configuration that they make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from nasplug.plugins.choices import compose_hydra, config_dir

OPEN = re.compile(r"(constraints|under|evaluator\.rename|evaluators\.\w+\.rename)\.")
"""Mappings that the user fills: Hydra would have a + before each of their keys."""
EVALUATOR = re.compile(r"(?P<sign>\+{0,2}|~)evaluators\.(?P<name>\w+)(?P<value>=.*|$)", re.DOTALL)
LEFT_OUT = re.compile(r"(evaluator|task|space|strategy)=null")
RENAME = re.compile(r"evaluators?(\.\w+)?\.rename=")


def compose(*overrides: str) -> Any:
    """The configuration that `python -m nasplug OVERRIDES` would run, an OmegaConf dictionary."""
    cfg = compose_hydra(*open_keys(overrides))
    cfg.overridden_keys = overridden_keys(overrides)
    return cfg


def overridden_keys(overrides: Iterable[str]) -> list[str]:
    """The top-level keys that overrides name: ["task"] of ["task=digits", "task.size=24"]."""
    keys = (override.split("=")[0].lstrip("+~") for override in overrides)
    return sorted({key.split("@")[0].split(".")[0] for key in keys})


def open_keys(overrides: Iterable[str]) -> list[str]:
    """Overrides as Hydra wants them, of the installed config.yaml; see `to_hydra`."""
    return to_hydra(overrides, Path(config_dir()) / "config.yaml")


@cache
def default_packages(config: Path) -> dict[str, str]:
    """Where config.yaml's defaults put a choice of their own, to its group: {"warmup": "wrapper",
    "evaluators.costs": "evaluator"}."""
    import yaml

    entries = yaml.safe_load(config.read_text(encoding="utf-8"))["defaults"]
    keys = [str(key).removeprefix("optional ") for e in entries if isinstance(e, dict) for key in e]
    return {package: group for group, at, package in (k.partition("@") for k in keys) if at}


def to_hydra(overrides: Iterable[str], config: Path) -> list[str]:
    """Overrides as Hydra wants them.

    >>> to_hydra(["constraints.params.max=5e6"], config)
    ['++constraints.params.max=5e6']
    >>> to_hydra(["evaluators.phone=table", "evaluators.costs=table"], config)
    ['+evaluator@evaluators.phone=table', 'evaluator@evaluators.costs=table']
    """
    return [_translate(override, default_packages(config)) for override in overrides]


def _translate(override: str, present: dict[str, str]) -> str:
    if OPEN.match(override) or RENAME.match(override):
        return f"++{override}"
    if LEFT_OUT.fullmatch(override):
        return f"~{override.removesuffix('=null')}"
    found = EVALUATOR.fullmatch(override)
    if not found:
        return override
    sign, name, value = found["sign"], found["name"], found["value"]
    if value == "=null":
        sign, value = "~", ""
    if sign != "~":
        sign = "" if f"evaluators.{name}" in present else "+"
    return f"{sign}evaluator@evaluators.{name}{value}"
