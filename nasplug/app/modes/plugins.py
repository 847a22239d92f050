"""mode=plugins: what is installed, and from where."""

from __future__ import annotations

from importlib.metadata import packages_distributions, version
from types import ModuleType
from typing import Any, cast

from nasplug.plugins.choices import config_dirs
from nasplug.plugins.discovery import broken, home, plugins


def main(cfg: Any) -> None:
    """Print every plug-in with its package, its folder and its choices, group by group."""
    folders, owners = config_dirs(), packages_distributions()
    for name, module in sorted(plugins().list_name_plugin()):
        package = cast(ModuleType, module).__name__.split(".")[0]
        source = ", ".join(f"{d} {version(d)}" for d in owners.get(package, [])) or "checkout"
        print(f"{name}  ({source}, {home(module)})")
        groups: dict[str, list[str]] = {}
        for file in sorted(folders[name].rglob("*.yaml")) if name in folders else []:
            groups.setdefault(file.parent.relative_to(folders[name]).as_posix(), []).append(
                file.stem
            )
        for group, found in groups.items():
            print(f"    {group}: {', '.join(found)}")
    for reason in broken().values():
        print(f"BROKEN  {reason}")
