"""The command line: python -m nasplug +space=NAME +strategy=NAME [key=value ...]"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasplug.app.command_line.command_words import parse
from nasplug.app.command_line.overrides import overridden_keys
from nasplug.app.command_line.settings import check_settings
from nasplug.app.command_line.words import check
from nasplug.app.sweeps import note_failure
from nasplug.contracts.errors import NasplugError, Stopped
from nasplug.plugins.choices import choices, config_dir, connect_hydra, one_line
from nasplug.plugins.discovery import PACKAGE, broken, plugins

FULL = "HYDRA_FULL_ERROR"
"""The environment variable that has errors shown with their tracebacks, when a user sets it to 1."""
SPINS = "10000"
"""With 1,000, what libgomp takes where it has more threads than cores, training on idle cores takes a
quarter longer; examples/benchmarks/busy_machine.py compares."""


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the moment: a live progress line puts itself there, so that
    messages go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """Standard error."""
        return sys.stderr


def start_logging(level: str) -> None:
    """Messages of nasplug and its plug-ins go to standard error."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(message)s"))
    modules = (module for _, module in plugins().list_name_plugin())
    for name in ("nasplug", *{str(getattr(module, "__name__", "")) for module in modules}):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="config")
def run(cfg: DictConfig) -> None:
    """One job. What goes wrong ends the command, or, in a sweep, this job alone."""
    try:
        _run(cfg)
    except Exception as error:
        if isinstance(error, BrokenPipeError | Stopped) or _raises(error) or not _multirun():
            raise _exit(error) from None
        note_failure(HydraConfig.get(), explain(error))


def _run(cfg: DictConfig) -> None:
    """Check that the mode has its parts, and hand over to it."""
    for key in ("run", "to"):
        cfg[key] = cfg[key] if cfg[key] is None else str(cfg[key])
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    check_settings(plain)
    for key in ("constraints", "under"):
        cfg[key] = {} if cfg[key] is None else cfg[key]
    for key in ("objectives", "also", "measure_last", "allow"):
        cfg[key] = [cfg[key]] if isinstance(cfg[key], str) else cfg[key]
    start_logging(cfg.log)
    for part in cfg.mode.needs:
        if not isinstance(cfg.get(part), DictConfig):
            raise NasplugError(f"choose a {part}: +{part}=NAME, one of {', '.join(choices(part))}")
    cfg.choices = dict(HydraConfig.get().runtime.choices)
    cfg.overridden_keys = overridden_keys(HydraConfig.get().overrides.task)
    cfg.job = HydraConfig.get().runtime.output_dir if _multirun() else None
    get_method(cfg.mode["_target_"])(cfg)


def _multirun() -> bool:
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def explain(error: BaseException) -> str:
    """One line of what went wrong."""
    if isinstance(error, NasplugError):
        return " ".join(str(error).split())
    if isinstance(error, HydraException | OmegaConfBaseException):
        return one_line(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} must be there and usable, but: {error.strerror}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    if {"hydra", "omegaconf"} & set(Path(frame.filename).parts):
        return f"the configuration cannot be composed: {text}"
    return (
        f"unforeseen {type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno}). "
        f"This is a fault of nasplug or a plug-in; {FULL}=1 in the environment shows where"
    )


def _raises(error: BaseException) -> bool:
    """Whether the user wants the traceback of `error`."""
    return _user_full == "1" and not isinstance(error, NasplugError)


def _exit(error: BaseException) -> BaseException:
    """The end of the command after `error`, which is told in one line; a reader who closed the pipe
    is told nothing."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in it
        return SystemExit(1)
    if _raises(error):
        return error
    print(f"nasplug: {explain(error)}", file=sys.stderr)
    return SystemExit(error.exit_status if isinstance(error, NasplugError) else 1)


_user_full = os.environ.get(FULL)


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
    try:
        arguments = parse(sys.argv[1:])
        if "--version" in arguments.flags:
            print(f"nasplug {_version()}")
            return
        connect_hydra()
        if "--help" in arguments.flags:
            from nasplug.app.command_line.help import help_text

            print(help_text(arguments.overrides))
            return
        overrides = arguments.overrides
        if "--shell-completion" not in arguments.flags and "--hydra-help" not in arguments.flags:
            overrides = check(arguments)
        for reason in broken().values():
            print(f"nasplug: {reason}; the others work", file=sys.stderr)
        sys.argv[1:] = arguments.for_hydra(overrides)
        os.environ[FULL] = "1"  # Hydra hands its errors over instead of printing them
        run()
        sys.stdout.flush()
    except Exception as error:
        raise _exit(error) from None


def _version() -> str:
    """The installed version; of a checkout that is not installed, its pyproject.toml's."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nasplug")
    except PackageNotFoundError:
        import tomllib

        text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
        return str(tomllib.loads(text)["project"]["version"])
