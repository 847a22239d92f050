"""The settings that a mode adds to the configuration: those of a plug-in's mode are in its own file.

Such a file, conf/mode/NAME.yaml, begins with `# @package _global_` and holds `mode:`, as every mode's
does, and its settings beside it. They are there when the mode is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nasplug.app.command_line.comments import settings
from nasplug.contracts.errors import NasplugError, shortened, unknown
from nasplug.plugins.checking import check_present, check_value, declared
from nasplug.plugins.choices import config_dir, config_dirs

T = TypeVar("T")
GLOBAL = "# @package _global_"


class ModeFile(NamedTuple):
    """The file of a mode with settings of its own: top-level keys of the configuration."""

    mode: str
    path: Path
    settings: Mapping[str, Any]


def is_global(path: Path) -> bool:
    """Whether the keys of a choice's file stand at the top of the configuration."""
    return path.read_text(encoding="utf-8").startswith(GLOBAL)


def mode_files(more: Sequence[Path] = ()) -> list[ModeFile]:
    """Those of the installed modes, and of the modes in the folders `more`, that have settings."""
    base = settings(Path(config_dir()) / "config.yaml")
    files = [
        ModeFile(path.stem, path, {key: v for key, v in settings(path).items() if key not in known})
        for folder in (*config_dirs().values(), *more)
        for path in sorted((folder / "mode").glob("*.yaml"))
        if is_global(path)
        for known in [{*base, "mode"}]
    ]
    return [file for file in files if file.settings]


def read_settings(cfg: Any, key: str, kind: type[T]) -> T:
    """The settings `cfg[key]` as an instance of `kind`, a frozen dataclass with a field for each.

    Each must have the field's type and be in its declared range; the error names the setting.

    >>> read_settings(cfg, "correlate", Settings).n
    nasplug.NasplugError: correlate.n must be int, at least 3, but got 2
    """
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    given = plain[key]
    if not isinstance(given, Mapping):
        raise NasplugError(
            f"{key} must be set one by one, {key}.NAME=VALUE, but got {shortened(given)}"
        )
    types = declared(kind)
    for name, value in given.items():
        if name not in types:
            raise unknown(f"setting of {key}", name, types)
        check_value(f"{key}.{name}", value, types[name])
    check_present(kind, given)
    return kind(**given)
