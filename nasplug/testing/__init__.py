"""Conformance suites: subclass one in your tests, give it its fixture, and pytest does the rest.

>>> class TestMySpace(SpaceContract):
...     @pytest.fixture
...     def space(self):
...         return MySpace()
"""

from nasplug.testing.described import check_described
from nasplug.testing.evaluator import EvaluatorContract
from nasplug.testing.fakes import ToyEvaluator, ToySpace, ToyTask
from nasplug.testing.predictor import PredictorContract
from nasplug.testing.proxy import ProxyContract
from nasplug.testing.space import SpaceContract
from nasplug.testing.strategy import StrategyContract
from nasplug.testing.supernet import SuperNetworkContract
from nasplug.testing.task import TaskContract

__all__ = [
    "EvaluatorContract",
    "PredictorContract",
    "ProxyContract",
    "SpaceContract",
    "StrategyContract",
    "SuperNetworkContract",
    "TaskContract",
    "ToyEvaluator",
    "ToySpace",
    "ToyTask",
    "check_described",
]
