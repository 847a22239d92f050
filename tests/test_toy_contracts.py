"""The suites themselves, on the toys that ship with them."""

import pytest

from nasplug.testing import (
    EvaluatorContract,
    SpaceContract,
    SuperNetworkContract,
    TaskContract,
    ToyEvaluator,
    ToySpace,
    ToyTask,
)


class TestToySpace(SpaceContract):
    @pytest.fixture(params=[ToySpace(), ToySpace(even=True), ToySpace(layers=9)])
    def space(self, request):
        return request.param


class TestToySuper(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return ToySpace()


class TestToyTask(TaskContract):
    @pytest.fixture
    def task(self):
        return ToyTask()

    @pytest.fixture
    def model(self):
        return ToySpace().build((2, 2, 2, 2))


class TestToyEvaluator(EvaluatorContract):
    @pytest.fixture
    def space(self):
        return ToySpace()

    @pytest.fixture
    def evaluator(self):
        return ToyEvaluator()
