"""The command line: python -m nasplug +space=NAME +strategy=NAME [key=value ...]"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from nasplug.contracts.errors import NasplugError, unknown
from nasplug.plugins.choices import (
    choices,
    compose,
    config_dir,
    connect_hydra,
    groups,
    named,
    one_line,
    open_keys,
)
from nasplug.plugins.discovery import broken

SPINS = "1000"
"""What libgomp itself takes where it knows of more threads than cores."""
LEVELS = ("debug", "info", "warning", "error")


class UserError(CompactHydraException):
    """What Hydra shows without a traceback."""


def check(arguments: list[str]) -> None:
    """Every word of the command line is known: before Hydra, whose own answers are longer."""
    words = [a for a in arguments if not a.startswith("-")]
    if not words:
        return
    keys = [*_base_keys(), *groups(), "hydra"]
    chosen, settings = [], []
    for override in OverridesParser.create().parse_overrides(open_keys(words)):
        group = override.key_or_group.split("@")[0]
        if (top := group.split(".")[0].split("/")[0]) not in keys:
            raise unknown("key", top, set(keys) - {"defaults", "choices", "named", "job"})
        if group in groups():
            for value in _values(override):
                if isinstance(value, str) and value not in choices(group):
                    raise unknown(group, value, choices(group))
            if not override.is_sweep_override():
                chosen.append(str(override.input_line))
        elif not (override.is_add() or override.is_force_add() or top == "hydra"):
            settings.append(str(override.key_or_group))
    _check_settings(settings, chosen)


def _base_keys() -> list[str]:
    """The top-level keys of config.yaml, and those under which its defaults put a choice."""
    base = OmegaConf.load(Path(config_dir()) / "config.yaml")
    entries = [key for entry in base.defaults if isinstance(entry, DictConfig) for key in entry]
    return [*map(str, base), *(str(key).split("@")[1] for key in entries if "@" in str(key))]


def _check_settings(settings: list[str], chosen: list[str]) -> None:
    """Every setting `part.knob` is one that the chosen parts have."""
    cfg = compose(*chosen)
    for setting in settings:
        parent, _, knob = setting.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else None
        if isinstance(node, DictConfig) and knob not in node:
            raise unknown(f"setting of {parent}", knob, {str(k) for k in node} - {"_target_"})


def _values(override: Override) -> list[Any]:
    if override.is_choice_sweep():
        return list(override.sweep_iterator())
    return [] if override.is_sweep_override() or override.is_delete() else [override.value()]


def start_logging(level: str) -> None:
    """Messages of nasplug and its plug-ins go to standard error."""
    if level not in LEVELS:
        raise unknown("log level", level, LEVELS)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("nasplug", *{m.__name__ for _, m in _modules()}):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())


def _modules() -> list[tuple[str, Any]]:
    from nasplug.plugins.discovery import plugins

    return plugins().list_name_plugin()


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="config")
def run(cfg: DictConfig) -> Any:
    """Check that the mode has its parts, and hand over to it."""
    try:
        start_logging(cfg.log)
        for part in cfg.mode.needs:
            if not isinstance(cfg.get(part), DictConfig):
                names = ", ".join(choices(part))
                raise NasplugError(f"choose a {part}: +{part}=NAME, one of {names}")
        cfg.choices = dict(HydraConfig.get().runtime.choices)
        cfg.named = named(HydraConfig.get().overrides.task)
        cfg.job = HydraConfig.get().runtime.output_dir if _multirun() else None
        get_method(cfg.mode["_target_"])(cfg)
    except NasplugError as error:
        if _multirun():
            raise UserError(str(error)) from error
        raise _exit(error) from None


def _multirun() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _exit(error: NasplugError) -> SystemExit:
    print(f"nasplug: {error}", file=sys.stderr)
    return SystemExit(error.exit_status)


def wait_briefly() -> None:
    """Set how long OpenMP's threads wait at work before they sleep, unless the user has.

    libgomp reads it when torch loads it, in this process and its children. By default a thread
    spins 300,000 times, some ten milliseconds, and on cores that others use too it spins away the
    time in which the thread that it waits for could run.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def main() -> None:
    """The command line. `-q` is short for log=warning."""
    wait_briefly()
    arguments = ["log=warning" if a in ("-q", "--quiet") else a for a in sys.argv[1:]]
    try:
        connect_hydra()
        check(arguments)
    except NasplugError as error:
        raise _exit(error) from None
    except HydraException as error:
        raise _exit(NasplugError(one_line(error))) from None
    for reason in broken().values():
        print(f"nasplug: {reason}; the others work", file=sys.stderr)
    sys.argv[1:] = open_keys(arguments)
    run()
