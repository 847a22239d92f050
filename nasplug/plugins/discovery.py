"""Finds the installed plug-ins through their entry points."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

import pluggy

from nasplug.contracts.errors import NasplugError

hookimpl = pluggy.HookimplMarker("nasplug")
PACKAGE = Path(__file__).parents[1]
"""The folder of nasplug itself."""


@cache
def plugins() -> pluggy.PluginManager:
    """Every plug-in that loads, registered once; the others are in `broken()`."""
    return _load()[0]


@cache
def broken() -> Mapping[str, str]:
    """The plug-ins that do not load: name to the reason, in one line."""
    return _load()[1]


@cache
def _load() -> tuple[pluggy.PluginManager, dict[str, str]]:
    from nasplug.plugins import hookspecs

    manager = pluggy.PluginManager("nasplug")
    manager.add_hookspecs(hookspecs)
    faults: dict[str, str] = {}
    for entry in _entries():
        try:
            _check_place(entry)
            manager.register(entry.load(), name=entry.name)
            home(manager.get_plugin(entry.name))
            manager.check_pending()  # a misspelt hook is an error, not silence
        except Exception as error:  # whatever a third party's module raises, the others still work
            if manager.has_plugin(entry.name):
                manager.unregister(name=entry.name)
            reason = " ".join(str(error).split()) or type(error).__name__
            faults[entry.name] = f"plug-in {entry.name!r} ({entry.value}) does not load: {reason}"
    return manager, faults


def _entries() -> list[EntryPoint]:
    """What is registered, by name; in a checkout that is not installed, pyproject.toml's own table."""
    found = {e.name: e for e in entry_points(group="nasplug") if not _registered_here(e)}
    try:
        distribution("nasplug")
    except PackageNotFoundError:
        root = PACKAGE.parent
        sys.path.append(str(root / "plugins"))
        table = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
        found |= {n: EntryPoint(n, value, "nasplug") for n, value in table["nasplug"].items()}
    return [found[name] for name in sorted(found)]


def packages() -> list[str]:
    """The packages, or single modules, of the registered plug-ins."""
    modules = [cast(ModuleType, module) for _, module in plugins().list_name_plugin()]
    return [module.__package__ or module.__name__ for module in modules]


# ---- the current folder, which `python -m` and interactive Python import from ---------------------


def in_current_folder(package: str) -> bool:
    """Whether a top-level package is, or would be, imported from the current folder, which the user
    has not put on PYTHONPATH."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin is None:
        return False
    file = Path(spec.origin)
    folder = file.parent.parent if spec.submodule_search_locations else file.parent
    return _is_current(folder)


def _is_current(folder: Path) -> bool:
    chosen = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = Path.cwd().resolve()
    return folder.resolve() == here and here not in {Path(p).resolve() for p in chosen if p}


def _registered_here(entry: EntryPoint) -> bool:
    """Whether it was installed nowhere: its metadata just lies in the current folder."""
    return entry.dist is not None and _is_current(Path(str(entry.dist.locate_file(""))))


def _check_place(entry: EntryPoint) -> None:
    """A folder of the same name in the current folder does not pass for an installed plug-in."""
    package = entry.module.split(".")[0]
    if not in_current_folder(package):
        return
    source = PACKAGE.parent if entry.dist is None else _source(entry)
    if source is None or not Path.cwd().resolve().is_relative_to(source.resolve()):
        raise NasplugError(
            f"{package} of the current folder hides the installed one; run from another folder"
        )


def _source(entry: EntryPoint) -> Path | None:
    """The project that an editable installation points to."""
    text = entry.dist and entry.dist.read_text("direct_url.json")
    url = json.loads(text).get("url", "") if text else ""
    return Path(url.removeprefix("file://")) if url.startswith("file://") else None


def home(plugin: object) -> Path:
    """The folder of a plug-in's package."""
    file = getattr(plugin, "__file__", None)
    if file is None:
        raise NasplugError(f"a plug-in must be a module in a file of its own, but got {plugin!r}")
    return Path(file).parent
