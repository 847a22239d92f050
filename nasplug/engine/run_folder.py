"""The folder of a run: one process at a time, and one configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.system.files import replacing, sweep
from nasplug.toolkit.system.locks import LockTimeout, exclusive_lock

CONFIG, LOCK = "config.yaml", ".lock"
FIRST_BUDGET = "first_budget"
"""The key of config.yaml that a raised budget leaves as it is: strategies are planned by it."""

STUDY = "study"
"""The key of config.yaml with the name of the run's study in a storage that others share."""

DATA = "data_fingerprint"
"""The key of config.yaml with the fingerprint of the task's data, where a task is used. It is no part
of a run's name, and runs that were written before there was one continue."""

MAY_CHANGE_ON_RESUME = ("budget", FIRST_BUDGET, "executor", "choices", STUDY)
"""What may differ when a run is continued."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Have the folder, made if need be, to oneself; a second process is refused.

    The system frees the lock when its process ends, however it ends; the temporary files that an
    earlier process left in the folder are removed.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive_lock(folder / LOCK, wait=False))
        except LockTimeout:
            raise NasplugError(
                f"{folder} must be used by one process at a time, but another is at work in it; wait "
                "for it, or give this run its own folder: run=runs/NAME"
            ) from None
        except OSError as error:
            reason = error.strerror or error
            if (folder / LOCK).is_symlink():
                reason = f"its {LOCK} is a symbolic link, which is not followed; remove it"
            raise NasplugError(
                f"the run's folder {folder} must be writable, but: {reason}"
            ) from error
        sweep(folder)
        yield


def save_or_verify_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.yaml, or make sure that what is there is the same, the task's data too;
    the budget may differ.

    It is written when the run begins, and replaced where something differs that may.
    """
    import yaml

    text = yaml.safe_dump(dict(config), sort_keys=False)
    path, new = folder / CONFIG, yaml.safe_load(text)
    if path.exists():
        old = load_config(folder)
        if differences := _differences(old, new):
            raise NasplugError(
                f"{folder} holds a run of another configuration: {'; '.join(differences)}. Give this "
                "one its own folder, run=runs/NAME, or take the old values"
            )
        if DATA in new:
            _check_data(path, old, new[DATA])
        # The study is named once, whatever the folder is called since.
        new.update({key: old[key] for key in (DATA, STUDY) if key in old})
        if old == new:
            return
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(new, sort_keys=False), encoding="utf-8")


def verify_data(folder: Path, fingerprint: Callable[[], str]) -> None:
    """Make sure that the task's data are those with which the run in `folder` began."""
    if (folder / CONFIG).is_file() and DATA in (old := load_config(folder)):
        _check_data(folder / CONFIG, old, fingerprint())


def _check_data(path: Path, old: Mapping[str, Any], now: str) -> None:
    if old.get(DATA, now) != now:
        raise NasplugError(
            f"{path.parent} holds a run on other data: the task's were {old[DATA]!r}, and now are "
            f"{now!r}. Put the old data back, or begin anew in another folder, run=runs/NAME; if they "
            f"are the same nonetheless, remove the line {DATA} from {path}"
        )


def load_config(folder: Path) -> dict[str, Any]:
    """What config.yaml of a run says."""
    import yaml

    path = folder / CONFIG
    if not path.is_file():
        raise NasplugError(f"run must be the folder of a run, with its {CONFIG}, but got {folder}")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        raise NasplugError(
            f"{path} must hold the configuration of a run, but is empty or damaged. Put the file "
            f"back; or remove it, rm {path}, and type the command of this very run again"
        )
    return config


def first_budget(folder: Path | None, budget: int) -> int:
    """The budget with which the run in `folder` began; `budget` where nothing is there yet."""
    if folder is None or not (folder / CONFIG).is_file():
        return budget
    config = load_config(folder)
    return int(config.get(FIRST_BUDGET, config.get("budget", budget)))


def fingerprint(config: Mapping[str, Any]) -> str:
    """Six characters that differ where configurations do, but for what may differ."""
    text = json.dumps(
        {k: v for k, v in config.items() if k not in MAY_CHANGE_ON_RESUME}, sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    was, now = dict(_flat(old)), dict(_flat(new))
    return [
        f"{key} was {was.get(key, 'unset')}, now {now.get(key, 'unset')}"
        for key in dict.fromkeys((*was, *now))
        if key.split(".")[0] not in (*MAY_CHANGE_ON_RESUME, DATA)
        and was.get(key, "unset") != now.get(key, "unset")
    ]


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple) and any(isinstance(v, Mapping) for v in node):
        for i, value in enumerate(node):
            yield from _flat(value, f"{path}.{i}")
    else:
        yield path, list(node) if isinstance(node, tuple) else node
