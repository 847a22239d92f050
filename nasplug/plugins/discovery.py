"""Finds the installed plug-ins through their entry points."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path

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
    found = {entry.name: entry for entry in entry_points(group="nasplug")}
    try:
        distribution("nasplug")
    except PackageNotFoundError:
        root = PACKAGE.parent
        sys.path.append(str(root / "plugins"))
        table = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
        found |= {n: EntryPoint(n, value, "nasplug") for n, value in table["nasplug"].items()}
    return [found[name] for name in sorted(found)]


def home(plugin: object) -> Path:
    """The folder of a plug-in's package."""
    file = getattr(plugin, "__file__", None)
    if file is None:
        raise NasplugError(f"a plug-in must be a module in a file of its own, but got {plugin!r}")
    return Path(file).parent
