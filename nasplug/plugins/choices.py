"""The choices that plug-ins offer, and the configuration that Hydra composes of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from nasplug.contracts.errors import NasplugError, unknown
from nasplug.plugins.discovery import PACKAGE, home, plugins


def config_dir() -> str:
    """The folder of config.yaml: nasplug/conf when installed, conf/ beside nasplug/ in a checkout."""
    return str(next(d for d in (PACKAGE / "conf", PACKAGE.parent / "conf") if d.is_dir()))


@cache
def config_dirs() -> Mapping[str, Path]:
    """The conf/ folder of each plug-in that has one. Two with the same choice are an error."""
    folders: dict[str, Path] = {}
    owner: dict[str, str] = {}
    for name, module in plugins().list_name_plugin():
        folder = home(module) / "conf"
        if folder.is_dir():
            folders[name] = folder
            for file in sorted(folder.rglob("*.yaml")):
                choice = file.relative_to(folder).with_suffix("").as_posix()
                if other := owner.get(choice):
                    raise NasplugError(
                        f"{choice} must be offered by one plug-in, but {other!r} and {name!r} both "
                        "do; uninstall one"
                    )
                owner[choice] = name
    return folders


class PluginConfigs(SearchPathPlugin):
    """Adds every plug-in's conf/ to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra when it starts."""
        for name, folder in config_dirs().items():
            search_path.append(provider=name, path=f"file://{folder}")


@cache
def connect_hydra() -> None:
    """Call before Hydra composes."""
    config_dirs()
    Plugins.instance().register(PluginConfigs)


def groups() -> list[str]:
    """The groups that have choices: "space", "strategy", "predictor", .., sorted."""
    folders = [Path(config_dir()), *config_dirs().values()]
    return sorted({f.name for folder in folders for f in folder.iterdir() if f.is_dir()})


def choices(group: str) -> list[str]:
    """The installed choices of a group, sorted."""
    if group not in groups():
        raise unknown("group", group, groups())
    folders = [Path(config_dir()), *config_dirs().values()]
    return sorted(f.stem for folder in folders for f in (folder / group).glob("*.yaml"))


def one_line(error: Exception) -> str:
    """What Hydra says, without the folders where it looked and its own settings."""
    text = str(error).split("Config search path")[0].split(", set env var")[0]
    return " ".join(text.split())


def compose_hydra(*overrides: str) -> Any:
    """The configuration that Hydra makes of overrides in its own words, an OmegaConf dictionary."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    connect_hydra()
    try:
        if GlobalHydra.instance().is_initialized():
            return hydra.compose("config", list(overrides))
        with hydra.initialize_config_dir(config_dir(), version_base="1.3"):
            return hydra.compose("config", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise NasplugError(one_line(error)) from error
