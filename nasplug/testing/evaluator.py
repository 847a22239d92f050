"""What every evaluator must do."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np

from nasplug.contracts.capabilities import ComputingEvaluator
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture, Failure, Measurement, full_trials
from nasplug.testing.described import check_described


class EvaluatorContract:
    """Give two fixtures: an `evaluator`, and the `space` whose architectures it measures."""

    timed: tuple[str, ...] = ("latency",)
    """Wall-clock metrics, which never repeat exactly."""

    samples = 4

    def archs(self, space: SearchSpace) -> list[Architecture]:
        """A few random architectures."""
        return space.valid(space.sample(self.samples, np.random.default_rng(0)))

    def names(self, evaluator: Evaluator) -> list[str]:
        """The metrics that must repeat."""
        return [name for name in evaluator.metrics if name not in self.timed]

    def measure(
        self, evaluator: Evaluator, archs: list[Architecture], names: list[str]
    ) -> list[Any]:
        """Values, or the error of a failure."""
        outcomes = evaluator.evaluate(full_trials(archs), names)
        assert len(outcomes) == len(archs)
        return [o.error if isinstance(o, Failure) else dict(o.values) for o in outcomes]

    def test_metrics_have_a_direction(self, evaluator: Evaluator) -> None:
        assert evaluator.metrics
        assert all(m.direction in ("minimize", "maximize") for m in evaluator.metrics.values())
        assert set(evaluator.closed_form) <= set(evaluator.metrics)
        assert set(evaluator.runs_alone) <= set(evaluator.metrics)

    def test_measures_what_is_asked_and_only_that(
        self, evaluator: Evaluator, space: SearchSpace
    ) -> None:
        evaluator.prepare()
        for names in ([name] for name in evaluator.metrics):
            (outcome,) = evaluator.evaluate(full_trials(self.archs(space)[:1]), names)
            assert isinstance(outcome, Measurement), outcome
            assert list(outcome.values) == names
            assert all(math.isfinite(value) for value in outcome.values.values())

    def test_order_and_batch_do_not_matter(self, evaluator: Evaluator, space: SearchSpace) -> None:
        evaluator.prepare()
        archs, names = self.archs(space), self.names(evaluator)
        together = self.measure(evaluator, archs, names)
        alone = [self.measure(evaluator, [arch], names)[0] for arch in reversed(archs)]
        assert together == alone[::-1]

    def test_what_it_computes_is_what_it_measures(
        self, evaluator: Evaluator, space: SearchSpace
    ) -> None:
        if not isinstance(evaluator, ComputingEvaluator):
            return
        archs, names = self.archs(space), list(evaluator.closed_form)
        columns = evaluator.costs(archs)
        computed = [{name: float(columns[name][i]) for name in names} for i in range(len(archs))]
        assert computed == self.measure(evaluator, archs, names)

    def test_pickled_it_measures_the_same(self, evaluator: Evaluator, space: SearchSpace) -> None:
        evaluator.prepare()
        again = pickle.loads(pickle.dumps(evaluator))
        archs, names = self.archs(space)[:2], self.names(evaluator)
        assert self.measure(again, archs, names) == self.measure(evaluator, archs, names)

    def test_is_described_by_its_constructor_arguments(self, evaluator: Evaluator) -> None:
        check_described(evaluator)

    def test_leaves_the_random_state(self, evaluator: Evaluator, space: SearchSpace) -> None:
        import torch

        evaluator.prepare()
        torch.manual_seed(3)
        before, numbers = torch.random.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
        evaluator.evaluate(full_trials(self.archs(space)[:1]), self.names(evaluator))
        assert torch.equal(before, torch.random.get_rng_state())
        assert str(np.random.get_state()) == numbers  # noqa: NPY002
