"""Builds parts from their configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nasplug.contracts.errors import NasplugError, unknown
from nasplug.plugins.checking import check_arguments, check_present
from nasplug.plugins.choices import choices, compose_hydra, one_line
from nasplug.plugins.describing import check_kept
from nasplug.plugins.discovery import plugins


def make(group: str, choice: str, **arguments: Any) -> Any:
    """Build an installed choice with its own configuration, changed by `arguments`.

    >>> make("space", "ofa_mbv3", width_mult=1.2)
    >>> make("evaluator", "supernet", space=space, task=task)
    """
    if choice not in choices(group):
        raise unknown(group, choice, choices(group))
    default = {"task", "evaluator", "executor", "mode"}
    return build(
        compose_hydra(f"{'' if group in default else '+'}{group}={choice}")[group], **arguments
    )


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
    check_arguments(partial.func, keywords)
    check_present(partial.func, keywords)
    part = partial.func(**keywords)
    if inspect.isclass(partial.func):
        check_kept(part)
    return part


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
            check_arguments(get_object(value["_target_"]), own)


def _has_parts(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_has_parts, value.values()))
    return isinstance(value, list) and any(map(_has_parts, value))
