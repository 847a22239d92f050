"""Tiny parts to test against: a space of perceptrons, a task and an evaluator that cost nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.supernet import SuperNetwork
from nasplug.contracts.task import Batch, Task
from nasplug.contracts.types import (
    Architecture,
    Archs,
    BoolArray,
    Failure,
    FloatArray,
    Measurement,
    Metric,
    Outcome,
    Trial,
    Variable,
)


class ToySpace(SearchSpace):
    """Perceptrons of 1 to `layers` hidden layers, each of a width of its own.

    `even` adds a constraint between variables: the option indices must have an even sum.
    """

    def __init__(
        self,
        layers: int = 3,
        widths: Sequence[int] = (2, 4, 8),
        columns: int = 6,
        classes: int = 3,
        even: bool = False,
    ) -> None:
        self.layers, self.widths, self.columns = layers, list(widths), columns
        self.classes, self.even = classes, even

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The depth, and a width a layer."""
        depths = tuple(range(1, self.layers + 1))
        widths = [
            Variable(f"width{k}", tuple(self.widths), when={"depth": depths[k - 1 :]})
            for k in depths
        ]
        return (Variable("depth", depths), *widths)

    def _sizes(self, arch: Architecture) -> list[int]:
        depth = arch[0] + 1
        return [self.columns, *(self.widths[i] for i in arch[1 : depth + 1]), self.classes]

    def build(self, arch: Architecture) -> nn.Module:
        """Linear, batch norm and ReLU a hidden layer, and a linear head."""
        *hidden, head = pairwise(self._sizes(arch))
        layers = [m for i, o in hidden for m in (nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(*head))

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Rows of numbers."""
        return (torch.linspace(-1, 1, batch_size * self.columns).view(batch_size, self.columns),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """Params and macs."""
        params, macs = [], []
        for arch in np.asarray(archs).tolist():
            sizes = self._sizes(tuple(arch))
            pairs = list(pairwise(sizes))
            macs.append(sum(i * o for i, o in pairs))
            params.append(macs[-1] + sum(o for _, o in pairs) + 2 * sum(sizes[1:-1]))
        return {"params": np.array(params, float), "macs": np.array(macs, float)}

    def is_valid(self, archs: Archs) -> BoolArray:
        """Everything, or what has an even sum."""
        genes = self.canonical(archs)
        valid: BoolArray = (genes.sum(axis=1) % 2 == 0) if self.even else np.ones(len(genes), bool)
        return valid

    def supernet(self) -> SuperNetwork:
        """One set of weights of the largest width and depth."""
        return ToySuper(self)


class ToySuper(SuperNetwork, nn.Module):
    """Leading slices of linear layers and batch norms; every depth shares one head."""

    def __init__(self, space: ToySpace) -> None:
        super().__init__()
        self.space = space
        wide = max(space.widths)
        sizes = [space.columns, *[wide] * space.layers]
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(wide) for _ in range(space.layers))
        self.head = nn.Linear(wide, space.classes)
        self.activate(space.largest)

    def activate(self, arch: Architecture) -> None:
        """Remember the widths."""
        self.sizes = self.space._sizes(arch)[1:-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores of the active sub-network."""
        layers: Any = zip(self.sizes, self.linears, self.norms, strict=False)
        for width, linear, norm in layers:
            x = functional.linear(x, linear.weight[:width, : x.shape[1]], linear.bias[:width])
            x = functional.batch_norm(
                x, norm.running_mean[:width], norm.running_var[:width],
                norm.weight[:width], norm.bias[:width], norm.training,
            )  # fmt: skip
            x = functional.relu(x)
        return functional.linear(x, self.head.weight[:, : x.shape[1]], self.head.bias)

    def extract(self, arch: Architecture) -> nn.Module:
        """Copies of the slices."""
        network = self.space.build(arch).train(self.training)
        modules = list(network.children())
        sources = [m for pair in zip(self.linears, self.norms, strict=True) for m in pair]
        targets = [m for m in modules[:-1] if not isinstance(m, nn.ReLU)]
        with torch.no_grad():
            for mine, its in (*zip(sources, targets, strict=False), (self.head, modules[-1])):
                for name, tensor in its.state_dict().items():
                    tensor.copy_(mine.state_dict()[name][tuple(map(slice, tensor.shape))])
        return network


class ToyTask(Task):
    """Tell apart `classes` gaussian blobs."""

    metrics = {"top1": Metric("%", "maximize"), "loss": Metric("", "minimize")}

    def __init__(self, columns: int = 6, classes: int = 3, samples: int = 96) -> None:
        self.columns, self.classes, self.samples = columns, classes, samples

    @property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """The sizes that a space must have."""
        return {"columns": self.columns, "classes": self.classes}

    def _data(self, seed: int) -> Batch:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, self.classes, self.samples)
        centres = np.random.default_rng(0).normal(size=(self.classes, self.columns)) * 2
        x = centres[y] + rng.normal(size=(self.samples, self.columns))
        return torch.tensor(x, dtype=torch.float32), torch.tensor(y)

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """The same points in a new order every epoch."""
        x, y = self._data(1)
        order = np.random.default_rng((seed, epoch)).permutation(self.samples)
        for start in range(0, self.samples, batch_size):
            part = order[start : start + batch_size]
            yield x[part], y[part]

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(outputs, batch[-1])

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On points of their own."""
        return self._measured(model, 2)

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On others."""
        return {n: value for n, value in self._measured(model, 3).items() if n in metrics}

    def _measured(self, model: nn.Module, seed: int) -> dict[str, float]:
        x, y = self._data(seed)
        with torch.no_grad():
            scores = model(x)
        return {
            "top1": 100 * float((scores.argmax(1) == y).float().mean()),
            "loss": float(functional.cross_entropy(scores, y)),
        }


class ToyEvaluator(Evaluator):
    """Metrics in closed form: `score`, larger for large indices with diminishing returns, and `cost`.

    `fails` makes every so many-th architecture fail (by its own indices, whatever the order);
    `seconds` is how long one takes.
    """

    def __init__(self, fails: int = 0, seconds: float = 0.0, preferred_batch: int = 1) -> None:
        self.fails, self.seconds, self.preferred_batch = fails, seconds, preferred_batch

    metrics = {"score": Metric("", "maximize"), "cost": Metric("ms", "minimize")}

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """In order."""
        archs = [trial.arch for trial in trials]
        return [self._one(arch, names) for arch in archs]

    def _one(self, arch: Architecture, names: Sequence[str]) -> Outcome:
        time.sleep(self.seconds)
        if self.fails and sum(i * (k + 1) for k, i in enumerate(arch)) % self.fails == 0:
            return Failure("unlucky")
        genes = np.array(arch, float)
        weights = 1 / (1 + np.arange(len(genes)))
        values = {
            "score": float(np.sqrt(genes) @ weights),
            "cost": float(1 + genes @ weights[::-1]),
        }
        return Measurement({name: values[name] for name in names})
