"""nasplug: neural architecture search where every part is a plug-in.

Everything public is here and is loaded when first used, so that `import nasplug` is quick.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; `typing` itself would take time to import
if TYPE_CHECKING:
    from typing import Any

    from nasplug.app.components import open_run as open_run
    from nasplug.app.files.export import load as load
    from nasplug.app.files.trust import import_allowed as import_allowed
    from nasplug.app.run import Run as Run
    from nasplug.app.search import search as search
    from nasplug.contracts.application import Application as Application
    from nasplug.contracts.errors import NasplugError as NasplugError
    from nasplug.contracts.errors import require_at_least as require_at_least
    from nasplug.contracts.errors import unknown as unknown
    from nasplug.contracts.evaluator import Evaluator as Evaluator
    from nasplug.contracts.executor import Executor as Executor
    from nasplug.contracts.finalizer import Finalizer as Finalizer
    from nasplug.contracts.inputs import Inputs as Inputs
    from nasplug.contracts.inputs import call as call
    from nasplug.contracts.predictor import Predictor as Predictor
    from nasplug.contracts.proxy import Aggregator as Aggregator
    from nasplug.contracts.proxy import ZeroCostProxy as ZeroCostProxy
    from nasplug.contracts.ranges import NonNegativeFloat as NonNegativeFloat
    from nasplug.contracts.ranges import NonNegativeInt as NonNegativeInt
    from nasplug.contracts.ranges import PositiveFloat as PositiveFloat
    from nasplug.contracts.ranges import PositiveInt as PositiveInt
    from nasplug.contracts.ranges import Range as Range
    from nasplug.contracts.ranges import UnitInterval as UnitInterval
    from nasplug.contracts.space import SearchSpace as SearchSpace
    from nasplug.contracts.strategy import CandidateScorer as CandidateScorer
    from nasplug.contracts.strategy import Problem as Problem
    from nasplug.contracts.strategy import Strategy as Strategy
    from nasplug.contracts.supernet import SuperNetwork as SuperNetwork
    from nasplug.contracts.task import Task as Task
    from nasplug.contracts.types import Architecture as Architecture
    from nasplug.contracts.types import Constraint as Constraint
    from nasplug.contracts.types import Failure as Failure
    from nasplug.contracts.types import Measurement as Measurement
    from nasplug.contracts.types import Metric as Metric
    from nasplug.contracts.types import Objective as Objective
    from nasplug.contracts.types import Record as Record
    from nasplug.contracts.types import Trial as Trial
    from nasplug.contracts.types import Variable as Variable
    from nasplug.contracts.types import full_trials as full_trials
    from nasplug.engine.evaluator_chain import EvaluatorChain as EvaluatorChain
    from nasplug.plugins.building import make as make
    from nasplug.plugins.choices import choices as choices
    from nasplug.plugins.describing import describe as describe
    from nasplug.plugins.discovery import hookimpl as hookimpl
    from nasplug.toolkit.networks.seeding import seeded as seeded
    from nasplug.toolkit.system.progress import progress as progress

_HOME = {
    "app.components": ("open_run",),
    "app.files.export": ("load",),
    "app.run": ("Run",),
    "app.search": ("search",),
    "contracts.application": ("Application",),
    "contracts.errors": ("NasplugError", "require_at_least", "unknown"),
    "contracts.evaluator": ("Evaluator",),
    "contracts.executor": ("Executor",),
    "contracts.finalizer": ("Finalizer",),
    "contracts.inputs": ("Inputs", "call"),
    "contracts.predictor": ("Predictor",),
    "contracts.proxy": ("Aggregator", "ZeroCostProxy"),
    "contracts.ranges": (
        "NonNegativeFloat",
        "NonNegativeInt",
        "PositiveFloat",
        "PositiveInt",
        "Range",
        "UnitInterval",
    ),
    "contracts.space": ("SearchSpace",),
    "contracts.strategy": ("CandidateScorer", "Problem", "Strategy"),
    "contracts.supernet": ("SuperNetwork",),
    "contracts.task": ("Task",),
    "contracts.types": (
        "Architecture",
        "Constraint",
        "Failure",
        "Measurement",
        "Metric",
        "Objective",
        "Record",
        "Trial",
        "Variable",
        "full_trials",
    ),
    "engine.evaluator_chain": ("EvaluatorChain",),
    "plugins.building": ("make",),
    "plugins.choices": ("choices",),
    "plugins.describing": ("describe",),
    "plugins.discovery": ("hookimpl",),
    "app.files.trust": ("import_allowed",),
    "toolkit.system.progress": ("progress",),
    "toolkit.networks.seeding": ("seeded",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _MODULE:
        raise AttributeError(f"module 'nasplug' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nasplug.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
