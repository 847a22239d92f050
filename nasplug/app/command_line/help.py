"""--help: what can be typed, with defaults and a line on each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasplug.app.command_line.comments import Knob, inner_choices, knobs, settings, summary
from nasplug.app.command_line.mode_settings import is_global, mode_files
from nasplug.contracts.errors import unknown
from nasplug.plugins.choices import choices, config_dir, config_dirs, groups

HEAD = """\
nasplug: neural architecture search, where every part is a plug-in.

python -m nasplug +space=ofa_mbv3 +strategy=linas         search
python -m nasplug +space=.. +strategy=.. objectives=[top1,latency] constraints.params.max=6e6
python -m nasplug --multirun +space=.. +strategy=linas,nsga2,random seed=0,1
python -m nasplug +space=.. +strategy=.. warmup.proxy=synflow move.proxy=synflow      zero-cost
python -m nasplug mode=export run=runs/NAME pick=knee     the network, with its weights
python -m nasplug mode=plugins                            what is installed
python -m nasplug mode=cache                              what is kept: weights, proxy scores
python -m nasplug +strategy=linas --help                  the settings of a choice"""
FLAGS = """\
Flags:
  --multirun        a search for each combination of values: seed=0,1 +strategy=linas,nsga2
  -q, --quiet       the same as log=warning
  --cfg job         show the configuration instead of running it; --cfg job --package strategy: of a part
  --config-dir DIR  choices of one's own beside the installed ones: DIR/experiment/NAME.yaml
  --help, --version, --hydra-help, --shell-completion"""
FILLED = ("choices", "overridden_keys", "job", "hydra")
WIDEST = 46
"""Columns that a setting and its default take, where its comment begins in the same line."""


def help_text(overrides: Sequence[str] = ()) -> str:
    """What --help prints: of the choices that `overrides` make, their settings; else of everything."""
    chosen = [_choice(word) for word in overrides]
    parts = [_of_choice(*choice) for choice in chosen if choice]
    return "\n\n".join(parts or [HEAD, _groups(), _settings(), FLAGS])


def _choice(word: str) -> tuple[str, str, str] | None:
    """The group, the key and the choice of an override such as +strategy=linas; None for a setting."""
    key, _, value = word.lstrip("+").partition("=")
    group, _, place = key.partition("@")
    if group.startswith("evaluators.") and group.count(".") == 1:
        group, place = "evaluator", group
    if group not in groups() or not value:
        return None
    if value not in choices(group):
        raise unknown(group, value, choices(group))
    return group, place or group, value


def _groups() -> str:
    """Each group with its choices."""
    listed = [f"  {group}: {', '.join(choices(group))}" for group in groups()]
    return "\n".join(
        ["Choices (GROUP=NAME; +GROUP=NAME for space, strategy and experiment):", *listed]
    )


def _settings() -> str:
    """config.yaml's own settings, and those that modes add."""
    base = [
        k for k in knobs(Path(config_dir()) / "config.yaml") if k.key.split(".")[0] not in FILLED
    ]
    for file in mode_files():
        base += [k for k in knobs(file.path) if k.key.split(".")[0] in file.settings]
    return "\n".join(
        ["Settings (KEY=VALUE), their defaults, and what they are:", *_lines(base, "")]
    )


def _of_choice(group: str, key: str, choice: str, given: Mapping[str, Any] | None = None) -> str:
    """A choice's summary and settings, as they are typed, and those of the choices inside it;
    `given` are defaults that the choice around it changes."""
    path = _file(group, choice)
    top = "." not in key
    at = key if key == group or key.startswith("evaluators.") else f"{group}@{key}"
    sign = "+" if top and group in ("space", "strategy", "experiment") else ""
    about = summary(path)
    prefix = "" if is_global(path) else f"{key}."
    inner = [entry for entry in inner_choices(path) if entry[2] in choices(entry[0])]
    inside = {name for _, name, _ in inner}
    own = [
        replace(k, default=_flow(given[k.key])) if given and k.key in given else k
        for k in knobs(path)
        if k.key.split(".")[0] not in {*inside, *(["mode"] if not prefix else [])}
    ]
    lines = [f"{sign}{at}={choice}" + (f"   {about}" if about else ""), *_lines(own, prefix)]
    parts = ["\n".join(lines if len(lines) > 1 else [*lines, "  (no settings)"])]
    for inner_group, name, default in inner:
        place = name.removeprefix("_global_.") if "_global_" in name else f"{prefix}{name}"
        parts.append(_of_choice(inner_group, place, default, settings(path).get(name)))
    return "\n\n".join(parts)


def _flow(value: Any) -> str:
    """A value as it is typed."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def _file(group: str, choice: str) -> Path:
    folders = [Path(config_dir()), *config_dirs().values()]
    return next(p for f in folders if (p := f / group / f"{choice}.yaml").exists())


def _lines(found: Sequence[Knob], prefix: str) -> list[str]:
    """A line for each setting; a long one has its comment in the next line."""
    texts = [f"  {prefix}{k.key}{'=' + k.default if k.default else ''}" for k in found]
    width = min(max(map(len, texts), default=0), WIDEST)
    lines = []
    for knob, text in zip(found, texts, strict=True):
        if knob.comment and len(text) > width:
            lines += [text, f"{'':{width}}  # {knob.comment}"]
        else:
            lines.append(f"{text:{width}}  # {knob.comment}" if knob.comment else text)
    return lines
