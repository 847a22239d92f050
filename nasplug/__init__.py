"""nasplug: neural architecture search where every part is a plug-in.

Everything public is here and is loaded when first used, so that `import nasplug` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasplug.display import progress as progress
    from nasplug.errors import NasplugError as NasplugError
    from nasplug.errors import at_least as at_least
    from nasplug.errors import unknown as unknown
    from nasplug.evaluator import Chain as Chain
    from nasplug.evaluator import Evaluator as Evaluator
    from nasplug.executor import Executor as Executor
    from nasplug.hub import choices as choices
    from nasplug.hub import hookimpl as hookimpl
    from nasplug.hub import make as make
    from nasplug.modes.export import load as load
    from nasplug.modes.search import search as search
    from nasplug.predictor import Predictor as Predictor
    from nasplug.proxy import Aggregator as Aggregator
    from nasplug.proxy import ZeroCostProxy as ZeroCostProxy
    from nasplug.run import Run as Run
    from nasplug.seeding import seeded as seeded
    from nasplug.space import SearchSpace as SearchSpace
    from nasplug.strategy import Preference as Preference
    from nasplug.strategy import Problem as Problem
    from nasplug.strategy import Strategy as Strategy
    from nasplug.supernet import SuperNetwork as SuperNetwork
    from nasplug.task import Task as Task
    from nasplug.types import Architecture as Architecture
    from nasplug.types import Constraint as Constraint
    from nasplug.types import Failure as Failure
    from nasplug.types import Measurement as Measurement
    from nasplug.types import Metric as Metric
    from nasplug.types import Objective as Objective
    from nasplug.types import Variable as Variable

_HOME = {
    "errors": ("NasplugError", "at_least", "unknown"),
    "evaluator": ("Chain", "Evaluator"),
    "executor": ("Executor",),
    "hub": ("choices", "hookimpl", "make"),
    "modes.export": ("load",),
    "modes.search": ("search",),
    "predictor": ("Predictor",),
    "display": ("progress",),
    "proxy": ("Aggregator", "ZeroCostProxy"),
    "run": ("Run",),
    "seeding": ("seeded",),
    "space": ("SearchSpace",),
    "strategy": ("Preference", "Problem", "Strategy"),
    "supernet": ("SuperNetwork",),
    "task": ("Task",),
    "types": (
        "Architecture",
        "Constraint",
        "Failure",
        "Measurement",
        "Metric",
        "Objective",
        "Variable",
    ),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'nasplug' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nasplug.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
