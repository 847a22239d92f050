"""What files of a run or an export say, checked before anything is made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nasplug.contracts.errors import NasplugError, shortened
from nasplug.engine.run_folder import CONFIG

LARGEST = 64 * 2**20
"""Bytes of a description that are read; what is written has some thousands."""


def stored_config(folder: Path) -> dict[str, Any]:
    """What config.yaml of a run says of its parts, its objectives and its seed."""
    import yaml

    file = folder / CONFIG
    if not file.is_file():
        raise NasplugError(f"run must be the folder of a run, with its {CONFIG}, but got {folder}")
    config = _parsed(file, yaml.safe_load)
    if "target" in config and "objectives" not in config:
        raise NasplugError(
            f"{folder} holds correlations, not a search; read correlations.csv and scores.csv there"
        )
    kinds: dict[str, type | tuple[type, ...]] = {
        "space": dict,
        "task": (dict, type(None)),
        "evaluators": (dict, list),
        "objectives": list,
        "constraints": dict,
        "also": list,
        "seed": int,
    }
    _check_keys(config, kinds, file)
    for key in ("objectives", "also"):
        if not all(isinstance(name, str) for name in config[key]):
            raise NasplugError(
                f"{key} of {file} must be metric names, but got {shortened(config[key])}"
            )
    if not config["objectives"]:
        raise NasplugError(f"objectives of {file} must name a metric, but there is none")
    for name, limits in config["constraints"].items():
        if not (isinstance(limits, dict) and set(limits) <= {"min", "max"} and _numbers(limits)):
            raise NasplugError(
                f"constraints of {file} must be like {name}: {{max: NUMBER}}, but got {shortened(limits)}"
            )
    return config


def stored_json(file: Path, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """What a JSON file says: an object with the keys of `kinds`, each of its kind."""
    config = _parsed(file, json.loads)
    _check_keys(config, kinds, file)
    return config


def _parsed(file: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise NasplugError(f"{file} must be a description of some kilobytes, but is larger")
        found = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NasplugError(f"{file} must be readable, but: {error.strerror or error}") from None
    except NasplugError:
        raise
    except Exception as error:  # each parser has errors of its own; none is the reader's concern
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(f"{file} must be what nasplug wrote, but: {reason:.150}") from None
    if not isinstance(found, dict):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise NasplugError(f"{file} must be what nasplug wrote, a mapping, but holds {kind}")
    return found


def _check_keys(
    found: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], file: Path
) -> None:
    for key, kind in kinds.items():
        if key not in found:
            raise NasplugError(f"{file} must be what nasplug wrote, but it has no {key!r}")
        if not isinstance(found[key], kind) or isinstance(found[key], bool):
            wanted = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join("nothing" if k is type(None) else k.__name__ for k in wanted)
            raise NasplugError(
                f"{key} of {file} must be a {names}, but got {shortened(found[key])}"
            )


def _numbers(limits: Mapping[str, Any]) -> bool:
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
        for v in limits.values()
    )
