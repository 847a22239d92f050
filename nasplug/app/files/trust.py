"""What a file may make nasplug import: parts of registered plug-ins, and what the caller allowed.

A name that a user types, in Python or on the command line, may be any. A name in a file that came
from elsewhere (an export's network.json, a run's config.yaml) may not: importing a module runs it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasplug.contracts.errors import NasplugError
from nasplug.plugins.discovery import in_current_folder, packages

ANYTHING = "*"
"""In `allow`: whatever the file names, as for a run that this very command has made."""
AT_HAND = ("nasplug.engine.executors", "nasplug.testing.fakes", "__main__")
"""Where nasplug itself has parts, and the program that is running: a class that a script defines can
be named by the files that it writes, and nothing is imported for it."""


@dataclass(frozen=True)
class _Source:
    """The file that is being read, and what its reader allowed beyond installed plug-ins."""

    file: Path
    allow: tuple[str, ...]


_SOURCE: ContextVar[_Source | None] = ContextVar("nasplug_source", default=None)


@contextmanager
def names_from(file: Path, allow: Sequence[str] = ()) -> Iterator[None]:
    """Inside, names come from `file`: `import_allowed` imports what plug-ins hold, and what is in
    one of the packages, modules or classes that `allow` names."""
    if isinstance(allow, str) or not all(isinstance(name, str) for name in allow):
        raise NasplugError(
            f'allow must be a list of package names, e.g. allow=["my_package"], but got {allow!r}'
        )
    token = _SOURCE.set(_Source(file, tuple(allow)))
    try:
        yield
    finally:
        _SOURCE.reset(token)


def import_allowed(name: str, known: Sequence[str] = ()) -> Any:
    """The object that a setting names as "package.module.Class"; for parts whose settings do so.

    Where the setting was typed, any object that can be imported. Where it was read from a file, only
    a class: of a registered plug-in, of what the caller allowed, or of one of the packages `known`,
    for which the part itself vouches; nothing else is imported, and the error says what to type.

    >>> import_allowed("nni.nas.hub.pytorch.DARTS", known=["nni.nas.hub.pytorch"])
    """
    module, _, attribute = name.rpartition(".")
    source = _SOURCE.get()
    if source is None:
        return getattr(importlib.import_module(module), attribute)
    check_allowed(name, known)
    home = _package(name)
    if home is not None:
        _stays_within(module, home)
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # whatever the module raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(
            f"{source.file} names {name}, which cannot be imported: {reason}"
        ) from None
    if not isinstance(found, type):
        raise NasplugError(f"{source.file} must name classes, but {name} is none")
    vouched = [module] if home is not None else [*source.allow, *AT_HAND, *known]
    if not _within(f"{found.__module__}.{found.__qualname__}", vouched):
        raise NasplugError(f"{source.file} must name a class where it is defined, but got {name}")
    return found


def check_allowed(name: str, known: Sequence[str] = ()) -> None:
    """An error, before anything is imported, unless the file being read may name `name`."""
    source = _SOURCE.get()
    if source is None:
        return
    words = name.split(".")
    if len(words) < 2 or not all(map(str.isidentifier, words)):
        raise NasplugError(f"{source.file} must name package.module.Class, but got {name!r}")
    if _within(name, source.allow) or _package(name) is not None or _within(name, AT_HAND):
        return
    if _within(name, known) and not in_current_folder(words[0]):
        return
    raise NasplugError(
        f"{source.file} names {name}, which is of no installed plug-in and is not imported; if you "
        f'trust it, type allow=[{words[0]}], or allow=["{words[0]}"] in Python'
    )


def _within(name: str, packages: Sequence[str]) -> bool:
    return any(p == ANYTHING or name == p or name.startswith(f"{p}.") for p in packages)


def _package(name: str) -> str | None:
    """The registered plug-in's package that `name` is in."""
    return next((package for package in packages() if _within(name, [package])), None)


def _stays_within(module: str, package: str) -> None:
    """Every package on the way to `module` lies in the folder that the plug-in was loaded from."""
    words = module.split(".")
    folder = Path(str(sys.modules[package].__file__)).resolve().parent
    for length in range(len(package.split(".")) + 1, len(words) + 1):
        path = ".".join(words[:length])
        try:
            spec = importlib.util.find_spec(path)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None:
            raise NasplugError(f"{_file()} names a module that plug-in {package} has not: {module}")
        if not Path(spec.origin).resolve().is_relative_to(folder):
            raise NasplugError(f"{_file()} names {module}, which lies outside of plug-in {package}")


def _file() -> Path:
    source = _SOURCE.get()
    assert source is not None
    return source.file
