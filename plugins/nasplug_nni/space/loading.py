"""From what a user names to a model space: the class, its arguments, and what is wrong with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nasplug import NasplugError, import_allowed, seeded, unknown
from nasplug_nni.nni3 import ModelSpace
from nasplug_nni.space.building import LOCK

SAME = {
    "num_classes": ("num_classes", "num_labels", "n_classes"),
    "in_channels": ("in_channels", "in_chans"),
    "image_size": ("image_size", "img_size", "input_size"),
}
"""What constructors call that which a task decides."""


def find(model: Any) -> tuple[type[ModelSpace], dict[str, Any]]:
    """The class of `model` ("package.module.Class", a class or an instance), and an instance's
    arguments."""
    if isinstance(model, ModelSpace):
        bound = signature(type(model)).bind(None, *model.trace_args, **model.trace_kwargs)
        (_, *names) = signature(type(model)).parameters
        return type(model), {n: bound.arguments[n] for n in names if n in bound.arguments}
    kind = _import(model) if isinstance(model, str) else model
    if not (isinstance(kind, type) and issubclass(kind, ModelSpace)):
        raise NasplugError(
            f"model of space=nni must be a subclass of nni.nas.nn.pytorch.ModelSpace, but {model!r} is "
            f"{'the class ' + kind.__name__ if isinstance(kind, type) else type(kind).__name__}"
        )
    return kind, {}


def _import(name: str) -> Any:
    if "." not in name:
        raise NasplugError(
            f"space.model must be package.module.Class, but got {name!r}; e.g. "
            "space.model=nni.nas.hub.pytorch.DARTS"
        )
    try:
        return import_allowed(name, known=["nni.nas.hub.pytorch"])
    except NasplugError:
        raise
    except Exception as error:  # whatever the user's module raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NasplugError(
            f"space.model must be package.module.Class that can be imported here, but {name!r} cannot: "
            f"{reason}"
        ) from None


def signature(kind: type) -> inspect.Signature:
    """The signature of the constructor as its author wrote it: nni wraps it, once a subclass."""
    for base in kind.__mro__:
        init = base.__dict__.get("_init_wrapped")
        if init is not None and init.__name__ != "new_init":
            return inspect.signature(init)
    return inspect.signature(kind.__init__)  # type: ignore[misc]  # of the class, not an instance


def arguments(
    kind: type, given: Mapping[str, Any], dims: Mapping[str, int | None]
) -> dict[str, Any]:
    """The constructor's arguments: those given, and the task's `network_dimensions` under its names."""
    names = list(signature(kind).parameters)[1:]
    filled = {
        name: value
        for dim, value in dims.items()
        for name in SAME[dim]
        if name in names and value is not None
    }
    return {**filled, **given}


def template(kind: type[ModelSpace], arguments: Mapping[str, Any]) -> ModelSpace:
    """An instance with every choice open; what is wrong with the class is one line."""
    parameters = signature(kind).parameters
    keywords = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in arguments:
        if name not in parameters and not keywords:
            raise unknown(f"argument of {kind.__name__}", name, list(parameters)[1:])
    try:
        with LOCK, seeded(0):
            space = kind(**arguments)
            space.simplify()
    except Exception as error:  # whatever the user's class raises
        reason = " ".join(str(error).split()) or type(error).__name__
        if "Label must be specified" in reason:
            reason = (
                "one of its choices has no label; give every choice label=..., or the class a "
                f"prefix: class {kind.__name__}(ModelSpace, label_prefix='net')"
            )
        given = " ".join(str(dict(arguments)).split())
        raise NasplugError(
            f"{kind.__name__} of space=nni must be built with {given}, but cannot: {reason}"
        ) from error
    return space
