"""The published architectures that nni's hub knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from nasplug import Architecture, NasplugError
from nasplug_nni.space.building import LOCK, patched


class _Found(Exception):
    """Carries out what nni would build."""

    def __init__(self, args: Mapping[str, Any], sample: Mapping[str, Any]) -> None:
        self.arguments = dict(args)
        self.sample = dict(sample)


def look_up(kind: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments and the sample of the network that nni's class `kind` calls `name`.

    Nothing is built and nothing downloaded.
    """

    def factory(cls: type, sample: Mapping[str, Any]) -> Any:
        def stop(**args: Any) -> NoReturn:
            raise _Found(args, sample)

        return stop

    try:
        with LOCK, patched(kind, frozen_factory=classmethod(factory)):
            kind.load_searched_model(name, pretrained=False, download=False)
    except _Found as found:
        return found.arguments, found.sample
    except Exception as error:  # an unknown name, in several ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(
            f"{name!r} must be a searched model of {kind.__name__}, but: {reason}"
        ) from None
    raise NasplugError(f"{kind.__name__} must know the sample of {name!r}, but does not give it")


def published_architecture(space: Any, name: str) -> Architecture:
    """The architecture that nni calls `name`, in `space`, which must have its choices."""
    args, sample = look_up(type(space.template), name)
    try:
        arch: Architecture = space.from_nni(sample)
    except NasplugError as error:
        raise NasplugError(
            f"the space must hold {name!r}, for which nni has args {args}, but: {error}"
        ) from None
    return arch
