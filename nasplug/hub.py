"""Finds the plug-ins, shows their choices to Hydra, and builds parts from their configuration."""

from __future__ import annotations

import inspect
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any

import pluggy
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from nasplug.errors import NasplugError, unknown

hookimpl = pluggy.HookimplMarker("nasplug")
HERE = Path(__file__).parent


# ---- which plug-ins there are -----------------------------------------------------------------


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
    from nasplug import hookspecs

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
        root = HERE.parent
        sys.path.append(str(root / "plugins"))
        table = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
        found |= {n: EntryPoint(n, value, "nasplug") for n, value in table["nasplug"].items()}
    return [found[name] for name in sorted(found)]


# ---- which choices they offer -----------------------------------------------------------------


def config_dir() -> str:
    """The folder of config.yaml: nasplug/conf when installed, conf/ beside nasplug/ in a checkout."""
    return str(next(d for d in (HERE / "conf", HERE.parent / "conf") if d.is_dir()))


def home(plugin: object) -> Path:
    """The folder of a plug-in's package."""
    file = getattr(plugin, "__file__", None)
    if file is None:
        raise NasplugError(f"a plug-in must be a module in a file of its own, but got {plugin!r}")
    return Path(file).parent


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


# ---- from configuration to parts --------------------------------------------------------------


def open_keys(overrides: Iterable[str]) -> list[str]:
    """Overrides as Hydra wants them: `constraints` and `under` are mappings that the user fills."""
    return [f"++{o}" if o.startswith(("constraints.", "under.")) else o for o in overrides]


def named(overrides: Iterable[str]) -> list[str]:
    """The top-level keys that overrides name: ["task"] of ["task=digits", "task.size=24"]."""
    keys = (override.split("=")[0].lstrip("+~") for override in overrides)
    return sorted({key.split("@")[0].split(".")[0] for key in keys})


def one_line(error: Exception) -> str:
    """What Hydra says, without the folders where it looked and its own settings."""
    text = str(error).split("Config search path")[0].split(", set env var")[0]
    return " ".join(text.split())


def compose(*overrides: str) -> Any:
    """The configuration that `python -m nasplug OVERRIDES` would run, an OmegaConf dictionary."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    connect_hydra()
    try:
        if GlobalHydra.instance().is_initialized():
            cfg = hydra.compose("config", open_keys(overrides))
        else:
            with hydra.initialize_config_dir(config_dir(), version_base="1.3"):
                cfg = hydra.compose("config", open_keys(overrides))
        cfg.named = named(overrides)
        return cfg
    except (HydraException, OmegaConfBaseException) as error:
        raise NasplugError(one_line(error)) from error


def make(group: str, choice: str, **arguments: Any) -> Any:
    """Build an installed choice with its own configuration, changed by `arguments`.

    >>> make("space", "ofa_mbv3", width_mult=1.2)
    >>> make("evaluator", "supernet", space=space, task=task)
    """
    if choice not in choices(group):
        raise unknown(group, choice, choices(group))
    default = {"task", "evaluator", "executor", "mode"}
    return build(compose(f"{'' if group in default else '+'}{group}={choice}")[group], **arguments)


def build(node: Any, **arguments: Any) -> Any:
    """Build the part that a configuration node describes; `arguments` override it.

    Of a run's own parts (`space`, `task`, ..) hand over only those that `accepts` allows.
    """
    from hydra.errors import HydraException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    plugins()  # in a checkout that is not installed, this makes them importable
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    try:
        _check_inner(plain)
        partial = instantiate(plain, _partial_=True, _convert_="all")
    except HydraException as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, NasplugError):
            cause = cause.__cause__
        raise cause or NasplugError(one_line(error)) from None
    keywords = {**partial.keywords, **arguments}
    _check(partial.func, keywords)
    _check_present(partial.func, keywords)
    return partial.func(**keywords)


def accepts(node: Any, **arguments: Any) -> dict[str, Any]:
    """Those of `arguments` that the constructor a node names has a parameter for."""
    from hydra.utils import get_object

    parameters = inspect.signature(get_object(node["_target_"])).parameters
    return {name: value for name, value in arguments.items() if name in parameters}


def _check_inner(node: Any) -> None:
    """The settings of the parts that a part is made of: Hydra builds these, and checks no types."""
    from hydra.utils import get_object

    for value in node.values() if isinstance(node, Mapping) else node:
        if isinstance(value, Mapping | list):
            _check_inner(value)
        if isinstance(value, Mapping) and "_target_" in value:
            own = {k: v for k, v in value.items() if not k.startswith("_") and not _has_parts(v)}
            _check(get_object(value["_target_"]), own)


def _has_parts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_has_parts, value.values()))
    return isinstance(value, list) and any(map(_has_parts, value))


def _check_present(target: Any, keywords: Mapping[str, Any]) -> None:
    """No argument without a default is missing."""
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.default is parameter.empty and name not in keywords:
            raise NasplugError(f"{target.__name__} needs {name!r}; give it, e.g. {name}=...")


def _check(target: Any, keywords: Mapping[str, Any]) -> None:
    """Every keyword is known, and of the type that the constructor declares."""
    from typing import get_type_hints

    from typeguard import TypeCheckError, check_type

    parameters = inspect.signature(target).parameters
    where = target.__name__
    for name in keywords:
        if name not in parameters:
            raise unknown(f"argument of {where}", name, parameters)
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for name, value in keywords.items():
        try:
            check_type(value, hints.get(name, Any))
        except TypeCheckError:
            hint = inspect.formatannotation(hints[name])
            raise NasplugError(f"{name} of {where} must be {hint}, but got {value!r}") from None


def describe(part: Any) -> dict[str, Any]:
    """What would build `part` again: its class, and its constructor's arguments, read from its
    attributes of the same names."""
    kind = type(part)
    parameters = [p for p in inspect.signature(kind).parameters if hasattr(part, p)]
    return {
        "_target_": f"{kind.__module__}.{kind.__qualname__}",
        **{name: _plain(getattr(part, name)) for name in parameters},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return describe(value) if hasattr(value, "__dict__") else str(value)
