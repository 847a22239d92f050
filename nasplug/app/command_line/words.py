"""Checks every override of a command line before Hydra sees it, whose own answers are longer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nasplug.app.command_line.command_words import Arguments
from nasplug.app.command_line.mode_settings import mode_files
from nasplug.app.command_line.overrides import compose, default_packages, open_keys
from nasplug.app.command_line.settings import check_setting
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.plugins.choices import choices, config_dir, groups

PARTS = ("space", "strategy", "experiment", "task", "evaluator", "executor", "mode")
"""Groups of which a run takes one choice under their own name."""
OMITTABLE = ("space", "strategy", "experiment", "task", "evaluator")
FILLED = ("choices", "overridden_keys", "job")
"""Keys of config.yaml that a run fills in."""
LIMIT = re.compile(r"\+*(?P<key>[\w.]+)\s*(?P<sign><=|>=|<|>|==)\s*(?P<value>.*)")


def check(arguments: Arguments) -> list[str]:
    """The overrides as Hydra wants them, when every word of them is known."""
    words = [readable(word) for word in arguments.overrides]
    parsed = [_parse(word) for word in open_keys(words)]
    checker = _Checker(arguments)
    for override in parsed:
        checker.check(override)
    checker.check_knobs()
    return [str(override.input_line) for override in parsed]


def readable(word: str) -> str:
    """`word` as Hydra can read it: a value with letters or signs that it does not know is quoted."""
    key, equals, value = word.partition("=")
    if limit := LIMIT.fullmatch(word):
        side = "min" if ">" in limit["sign"] else "max"
        raise NasplugError(
            f"settings are typed KEY=VALUE, and a limit as {limit['key']}.{side}={limit['value']}, "
            f"but got {word!r}"
        )
    if not equals and not word.startswith("~"):
        raise _no_setting(word)
    try:
        OverridesParser.create().parse_overrides(open_keys([word]))
        return word
    except HydraException:
        if not value or value[0] in "[{'\"(":
            raise _unreadable(word) from None
    quoted = f"{key}='" + value.replace("'", "\\'") + "'"
    try:
        (override,) = OverridesParser.create().parse_overrides(open_keys([quoted]))
    except HydraException:
        raise _unreadable(word) from None
    if override.value() != value:
        raise _unreadable(word)
    return quoted


def _no_setting(word: str) -> NasplugError:
    for group in PARTS:
        if word in choices(group):
            sign = "+" if group in ("space", "strategy", "experiment") else ""
            return NasplugError(
                f"settings are typed KEY=VALUE, but got {word!r}; did you mean {sign}{group}={word}?"
            )
    return NasplugError(
        f"settings are typed KEY=VALUE, but got {word!r}; a value with a space in it is quoted"
        ": 'objectives=[top1, macs]'"
    )


def _unreadable(word: str) -> NasplugError:
    key, _, value = word.partition("=")
    if value.count("[") != value.count("]") or value.count("{") != value.count("}"):
        return NasplugError(
            f"brackets must be closed, but got {word!r}; a list has no spaces, {key}=[a,b], or is "
            f"quoted: '{key}=[a, b]'"
        )
    return NasplugError(
        f"{word!r} cannot be read; text with other signs than letters, digits and ._-+/ is quoted "
        f"twice, once for the shell: \"{key}='TEXT'\""
    )


def _parse(word: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([word])
    return override


class _Checker:
    """Each override is about something that there is; what they set is gathered for `check_knobs`."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        path = Path(config_dir()) / "config.yaml"
        base = [str(key) for key in OmegaConf.load(path)]
        self.settings = [key for key in base if key not in ("defaults", "hydra", *FILLED)]
        own = [arguments.config_dir] if arguments.config_dir else []
        self.of_modes = {key: file for file in mode_files(own) for key in file.settings}
        self.packages = default_packages(path)
        tops = {package.split(".")[0] for package in self.packages}
        self.keys = {*self.settings, *self.of_modes, *tops, *PARTS, "hydra"}
        self.chosen: list[str] = []
        self.knobs: list[str] = []

    def check(self, override: Override) -> None:
        """One override: its key, and its value where that is not a part's own affair."""
        group = str(override.key_or_group)
        place = (override.package or group).removeprefix("_global_.")
        top = re.split("[./]", place)[0]
        if override.is_sweep_override() and not self.arguments.multirun:
            raise NasplugError(
                f"{place} has several values, {override.get_value_string()}: --multirun tries one after "
                f"the other; one value with a comma in it is quoted, \"{place}='a,b'\""
            )
        if top == "hydra":
            if place == "hydra.searchpath":
                raise NasplugError("a folder of one's own choices is named by --config-dir FOLDER")
            if override.is_delete():
                raise NasplugError(f"{place} cannot be left out")
        elif top not in self.keys:
            raise self._unknown_key(top, place, override)
        elif group in groups():
            self._check_choice(group, override)
        elif "/" in group:
            raise NasplugError(
                f"the part of a part is chosen as {group.split('/')[-1]}@{group.replace('/', '.')}=NAME, "
                f"but got {override.input_line!r}"
            )
        elif override.is_delete():
            own = top in self.settings or top in self.of_modes
            if own or place in PARTS or place == "evaluators":
                raise NasplugError(f"{place} cannot be left out; give it a value, {place}=VALUE")
        else:
            if top == "mode":
                raise NasplugError(
                    f"a mode has no settings, but got {override.input_line!r}; choose one: mode=NAME"
                )
            several = place in self.of_modes and isinstance(
                self.of_modes[place].settings[place], Mapping
            )
            if place in self.packages or place == "evaluators" or several:
                raise NasplugError(
                    f"{place} must be set one by one, {place}.KEY=VALUE, but got {override.input_line!r}"
                )
            for value in _values(override):
                if not (isinstance(value, str) and "${" in value):
                    check_setting(place, value)
            added = override.is_add() or override.is_force_add()
            if top in self.of_modes or not (added or place in self.settings):
                self.knobs.append(place)

    def _check_choice(self, group: str, override: Override) -> None:
        known, values = [*choices(group), *self._own(group)], _values(override)
        if group not in PARTS and not override.package:
            raise NasplugError(
                f"{group}=NAME alone would not be used; say of which part, e.g. "
                f"{group}@strategy.{group}={values[0] if values else 'NAME'}"
            )
        left_out = override.is_delete() or None in values
        if left_out and not override.package and group not in OMITTABLE:
            raise NasplugError(
                f"{group} cannot be left out; choose one, {group}=NAME: {', '.join(known)}"
            )
        for value in values:
            if value is not None and value not in known:
                raise unknown(group, value, known)
        if not override.is_sweep_override():
            self.chosen.append(str(override.input_line))

    def _own(self, group: str) -> list[str]:
        """Choices in the user's --config-dir."""
        folder = self.arguments.config_dir
        return [f.stem for f in (folder / group).glob("*.yaml")] if folder else []

    def _unknown_key(self, top: str, place: str, override: Override) -> NasplugError:
        if f"evaluators.{top}" in self.packages:
            value = (_values(override) or ["VALUE"])[0]
            return NasplugError(f"unknown key {top!r}; it is evaluators.{place}={value}")
        if top in FILLED:
            return NasplugError(f"{top} is filled in by the run, and cannot be set")
        if override.key_or_group == "evaluator":
            return NasplugError(
                f"{place} would not be used; one more evaluator is added as evaluators.{place}=NAME"
            )
        return unknown("key", top, self.keys)

    def check_knobs(self) -> None:
        """Every setting `part.knob` is one that the chosen parts have."""
        if not self.knobs:
            return
        own = self.arguments.config_dir
        more = [f"hydra.searchpath=[file://{own.absolute()}]"] if own else []
        cfg = OmegaConf.to_container(compose(*self.chosen, *more))
        for knob in self.knobs:
            node: Any = cfg
            path = ""
            for step in knob.split("."):
                if node is None or isinstance(node, list):
                    break  # Hydra's to judge
                if not isinstance(node, Mapping):
                    raise NasplugError(f"{path} is one value, {path}=VALUE, but got {knob}=..")
                if step not in node:
                    if not path and step in self.of_modes:
                        mode = self.of_modes[step].mode
                        raise NasplugError(
                            f"{knob} is a setting of mode={mode}; choose it: mode={mode}"
                        )
                    raise _no_knob(path, step, node)
                path, node = f"{path}.{step}" if path else step, node[step]


def _no_knob(path: str, step: str, node: Mapping[Any, Any]) -> NasplugError:
    if not path and step in PARTS:
        return NasplugError(f"choose a {step} before its settings: +{step}=NAME")
    if path == "evaluators":
        names = ", ".join(choices("evaluator"))
        return NasplugError(
            f"evaluators.{step} must be chosen before its settings: evaluators.{step}=NAME, one of {names}"
        )
    return unknown(f"setting of {path}" if path else "key", step, {*map(str, node)} - {"_target_"})


def _values(override: Override) -> list[Any]:
    """The value, or those of a sweep; none where something is left out, or is for Hydra to list."""
    if override.is_delete() or override.is_interval_sweep():
        return []
    if not override.is_sweep_override():
        return [override.value()]
    try:
        return [_plain(value) for value in override.sweep_iterator()]
    except HydraException:  # glob(..): of what there is
        return []


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.text if isinstance(value, QuotedString) else value
