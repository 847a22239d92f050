"""What every task must do."""

from __future__ import annotations

import json
import math
import pickle
from itertools import islice
from typing import TYPE_CHECKING, Any

from nasplug.contracts.task import Task
from nasplug.plugins.building import build
from nasplug.plugins.describing import describe
from nasplug.toolkit.networks.nested import map_tensors, named_tensors
from nasplug.toolkit.networks.seeding import seeded

if TYPE_CHECKING:
    from torch import nn


class TaskContract:
    """Give two fixtures: a `task`, and a `model` that fits it."""

    def same(self, one: Any, other: Any) -> bool:
        """Whether two batches hold the same numbers."""
        import torch

        pairs = zip(named_tensors(one), named_tensors(other), strict=True)
        return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)

    def test_metrics_are_what_quality_gives(self, task: Task, model: nn.Module) -> None:
        with seeded(0):
            quality = task.quality(model.eval(), task.metrics)
        assert list(quality) == list(task.metrics)
        assert all(math.isfinite(v) for v in quality.values())

    def test_quality_is_repeatable_and_leaves_the_model(self, task: Task, model: nn.Module) -> None:
        import torch

        before = {k: v.clone() for k, v in model.eval().state_dict().items()}
        assert task.quality(model, task.metrics) == task.quality(model, task.metrics)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert not model.training and all(p.grad is None for p in model.parameters())

    def test_test_quality_is_repeatable_and_leaves_the_model(
        self, task: Task, model: nn.Module
    ) -> None:
        import torch

        before = {k: v.clone() for k, v in model.eval().state_dict().items()}
        found = task.test_quality(model, task.metrics)
        assert set(found) <= set(task.metrics) and all(math.isfinite(v) for v in found.values())
        assert task.test_quality(model, task.metrics) == found
        for name in found:
            assert task.test_quality(model, [name]) == {name: found[name]}
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert not model.training and all(p.grad is None for p in model.parameters())

    def test_batches_follow_seed_and_epoch(self, task: Task) -> None:
        def first(seed: int, epoch: int) -> Any:
            return next(iter(task.train_batches(16, seed=seed, epoch=epoch)))

        assert self.same(first(0, 0), first(0, 0))
        assert not self.same(first(0, 0), first(0, 1))
        assert not self.same(first(0, 0), first(1, 0))

    def test_calibration_is_always_the_same(self, task: Task) -> None:
        one, other = (list(islice(task.calibration_batches(16), 3)) for _ in range(2))
        assert one and len(one) == len(other)
        assert all(self.same(a, b) for a, b in zip(one, other, strict=True))

    def test_steps_per_epoch_are_those_of_an_epoch(self, task: Task) -> None:
        for batch_size in (16, 64):
            counted = sum(1 for _ in task.train_batches(batch_size, seed=0))
            assert task.steps_per_epoch(batch_size, seed=0) == counted

    def test_measures_what_is_asked(self, task: Task, model: nn.Module) -> None:
        every = task.quality(model.eval(), task.metrics)
        for name in task.metrics:
            assert task.quality(model.eval(), [name])[name] == every[name]

    def test_what_an_exported_network_needs_is_json(self, task: Task) -> None:
        info = task.deployment_info()
        assert json.loads(json.dumps(info)) == info

    def test_loss_is_a_finite_scalar_with_gradients(self, task: Task, model: nn.Module) -> None:
        batch = next(iter(task.train_batches(16, seed=0)))
        loss = task.loss(model.train(), batch)
        assert loss.ndim == 0 and math.isfinite(float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    def test_a_teacher_that_agrees_costs_least(self, task: Task, model: nn.Module) -> None:
        import torch

        batch = next(iter(task.train_batches(16, seed=0)))
        with torch.no_grad():
            outputs = task.forward(model.eval(), batch)
            other = map_tensors(lambda x: x + torch.linspace(-2, 2, x.numel()).view_as(x), outputs)
            assert task.distillation(outputs, outputs) < task.distillation(other, outputs)

    def test_the_fingerprint_of_its_data_is_always_the_same(self, task: Task) -> None:
        again = pickle.loads(pickle.dumps(task))
        assert isinstance(task.data_fingerprint(), str) and task.data_fingerprint()
        assert task.data_fingerprint() == again.data_fingerprint()

    def test_pickles_and_is_described(self, task: Task) -> None:
        again = pickle.loads(pickle.dumps(task))
        batches = (next(iter(t.train_batches(8, seed=0))) for t in (task, again))
        assert self.same(next(batches), next(batches))
        assert describe(build(describe(task))) == describe(task)
