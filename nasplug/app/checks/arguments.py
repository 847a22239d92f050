"""What callers in Python hand over, checked at the border: what must hold, what was got, what to type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.app.checks.limits import check_limits
from nasplug.contracts.architectures import as_architecture
from nasplug.contracts.errors import NasplugError, shortened, unknown
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.executor import Executor
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.strategy import Strategy
from nasplug.contracts.task import Task
from nasplug.contracts.types import Architecture, Record
from nasplug.plugins.describing import check_ranges

if TYPE_CHECKING:
    from nasplug.app.run import Run


def check_search(given: Mapping[str, Any]) -> None:
    """The arguments of `nasplug.search`, by name; metric names are checked against the evaluators."""
    _check_part("space", given["space"], SearchSpace)
    evaluators = given["evaluator"]
    if not isinstance(evaluators, list | tuple):
        evaluators = [evaluators]
    if not evaluators:
        raise NasplugError("evaluator must be one or several, but got none")
    for one in evaluators:
        _check_part("evaluator", one, Evaluator)
    _check_part("strategy", given["strategy"], Strategy)
    for name, kind in (("task", Task), ("executor", Executor)):
        if given[name] is not None:
            _check_part(name, given[name], kind)
    for part in (given["space"], *evaluators, given["strategy"], given["task"], given["executor"]):
        if part is not None:
            check_ranges(part)
    if given["objectives"] is not None:
        _check_names("objectives", given["objectives"], least=1)
    _check_names("also", given["also"], least=0)
    check_whole("budget", given["budget"], least=1)
    check_whole("seed", given["seed"], least=0)
    check_limits("constraints", given["constraints"])
    if given["run"] is not None:
        check_path("run", given["run"])
    if not isinstance(given["storage"], str | None):
        got = shortened(given["storage"])
        raise NasplugError(f"storage must be an Optuna address or None, but got {got}")
    if not isinstance(given["test"], bool):
        raise NasplugError(f"test must be True or False, but got {shortened(given['test'])}")
    if not isinstance(given["config"], Mapping | None):
        got = shortened(given["config"])
        raise NasplugError(f"config must be a mapping or None, but got {got}")


def _check_part(name: str, value: Any, kind: type) -> None:
    if isinstance(value, kind):
        return
    must = f"{name} must be a nasplug.{kind.__name__}"
    if isinstance(value, str):
        raise NasplugError(
            f"{must}, but got the name {value!r}; make one of it: nasplug.make({name!r}, {value!r})"
        )
    if isinstance(value, type):
        raise NasplugError(f"{must}, but got the class {value.__name__}; give {value.__name__}(..)")
    raise NasplugError(f"{must}, but got {shortened(value)}; see nasplug.choices({name!r})")


def _check_names(what: str, value: Any, least: int) -> None:
    example = f'e.g. {what}=["top1", "macs"]'
    if not isinstance(value, list | tuple) or len(value) < least:
        raise NasplugError(
            f"{what} must be a list of metrics, {example}, but got {shortened(value)}"
        )
    for name in value:
        if not isinstance(name, str):
            raise NasplugError(
                f"{what} must be names of metrics, {example}, but one is {shortened(name)}"
            )


def check_whole(what: str, value: Any, least: int) -> None:
    """A whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise NasplugError(
            f"{what} must be a whole number of at least {least}, but got {shortened(value)}"
        )


def check_path(what: str, value: Any) -> None:
    """A path, as text or a `pathlib.Path`."""
    if not isinstance(value, str | PathLike) or not str(value) or "\0" in str(value):
        raise NasplugError(f'{what} must be a path, e.g. "runs/mine", but got {shortened(value)}')


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def as_pick(run: Run, pick: Any) -> str | int | Architecture:
    """What names a measured architecture: a word or a number, or the architecture itself, also as a
    list, an array or a record of the run."""
    if isinstance(pick, Record):
        return pick.arch
    if isinstance(pick, list | tuple) or (isinstance(pick, np.ndarray) and pick.ndim == 1):
        return as_architecture(run.problem.space, pick)
    if isinstance(pick, np.integer):  # as the columns of `front` have it
        return int(pick)
    if isinstance(pick, str) and (not pick.isdigit() or (pick.isdecimal() and len(pick) < 19)):
        return pick
    if isinstance(pick, int) and not isinstance(pick, bool):
        return pick
    names = ["knee", "a row's number", *(o.name for o in run.problem.objectives)]
    raise unknown("pick", pick, names)


def check_box(run: Run, reference: Any, ideal: Any) -> None:
    """Two points, metric name to value, of which `ideal` is better in every objective."""
    for what, point in (("reference", reference), ("ideal", ideal)):
        names = [o.name for o in run.problem.objectives]
        if not isinstance(point, Mapping) or not all(_is_number(point.get(name)) for name in names):
            example = ", ".join(f'"{name}": NUMBER' for name in names)
            raise NasplugError(
                f"{what} must have a finite number for every objective, {{{example}}}, but got "
                f"{shortened(point)}"
            )
    for objective in run.problem.objectives:
        low, high = ideal[objective.name], reference[objective.name]
        if not low * objective.sign < high * objective.sign:
            raise NasplugError(
                f"ideal must be better than reference, but of {objective.name} ({objective.direction}) "
                f"ideal is {low} and reference {high}"
            )
