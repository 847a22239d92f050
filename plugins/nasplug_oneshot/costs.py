"""Costs: what a one-shot search weighs against the training loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch

from nasplug import Problem, SearchSpace
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray

Penalty = Callable[[Archs], FloatArray]
"""What n architectures are charged, in units of the training loss, shape (n,)."""

SCALE = 500
"""Random architectures by which costs are scaled."""
DRAWS = 256
"""Architectures by which an expected penalty is estimated, at every step."""


@final
class Costs:
    """The objectives and limits of a problem that its task does not measure: macs, latency, ..

    Those that the space computes are computed; of the others a linear model over the space's
    features (masked one-hot) is learnt from what the strategy was told. So any metric can be a cost.
    """

    def __init__(self, problem: Problem, quality: Sequence[str]) -> None:
        """`quality` are the task's own metrics."""
        self.space = problem.space
        self.problem = replace(
            problem,
            objectives=tuple(o for o in problem.objectives if o.name not in quality),
            constraints=tuple(c for c in problem.constraints if c.name not in quality),
        )
        self.names = self.problem.metrics
        self.learnt = [name for name in self.names if name not in problem.closed_form]
        self._columns = [problem.metrics.index(name) for name in self.learnt]
        self._archs: list[Architecture] = []
        self._rows: list[FloatArray] = []
        self._model: _Linear | None = None

    def tell(self, archs: Sequence[Architecture], values: FloatArray) -> None:
        """Measured values, shape (n, metrics of the whole problem); NaN rows failed."""
        for arch, row in zip(archs, values, strict=True):
            if self.learnt and np.isfinite(row).all():
                self._archs.append(arch)
                self._rows.append(row[self._columns])
                self._model = None

    def values(self, archs: Archs) -> FloatArray:
        """Of n architectures, by what is known at this moment, shape (n, names)."""
        out = np.zeros((len(archs), len(self.names)))
        if self.learnt:
            if self._model is None:
                self._model = _Linear(self.space, self._archs, self._rows)
            out[:, [self.names.index(name) for name in self.learnt]] = self._model(archs)
        for name, exact in self.problem.closed_form_values(archs).items():
            out[:, self.names.index(name)] = exact
        return out

    def penalty(self, weight: float, direction: FloatArray, limit: float) -> Penalty:
        """`weight` times the costs, each in standard deviations of a random architecture's and times
        its entry of `direction`, and `limit` times the relative violation of the constraints."""
        some = self.values(self.space.sample(SCALE, np.random.default_rng(self.problem.seed)))
        losses = self.problem.losses(some)
        mean, spread = losses.mean(axis=0), losses.std(axis=0)
        spread[spread == 0] = 1.0

        def charge(archs: Archs) -> FloatArray:
            found = self.values(archs)
            scaled = (self.problem.losses(found) - mean) / spread
            total: FloatArray = weight * scaled @ direction
            return total + limit * self.problem.violation(found)

        return charge

    def feasible(self, archs: Archs) -> BoolArray:
        """Which keep the limits, as far as is known, shape (n,)."""
        if not self.problem.constraints:
            return np.ones(len(archs), bool)
        kept: BoolArray = self.problem.violation(self.values(archs)) == 0
        return kept


@final
class _Linear:
    """Ridge regression of values on the masked one-hot; constant where there is too little to learn."""

    def __init__(
        self, space: SearchSpace, archs: Sequence[Architecture], rows: Sequence[FloatArray]
    ) -> None:
        self.space = space
        width = sum(len(v.options) for v in space.variables)
        x = space.features(archs) if len(archs) else np.zeros((1, width))
        y = np.array(rows) if len(archs) else np.zeros((1, 1))
        self.centre, self.mean = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self.centre, y - self.mean
        self.slope = np.linalg.solve(x.T @ x + 0.01 * len(x) * np.eye(width), x.T @ y)

    def __call__(self, archs: Archs) -> FloatArray:
        """Shape (n, values)."""
        predicted: FloatArray = (self.space.features(archs) - self.centre) @ self.slope + self.mean
        return predicted


def expected(
    space: SearchSpace,
    alphas: Sequence[torch.Tensor],
    penalty: Penalty,
    rng: np.random.Generator,
) -> torch.Tensor:
    """A scalar whose gradient by `alphas` is that of the penalty expected of an architecture drawn
    by softmax(alpha), each variable for itself.

    Estimated by the score function, mean of (penalty - mean penalty) * log p, over the active
    variables (Williams 1992): the penalty may be any function of the architecture, so costs are
    the very ones that are computed, not those of a mixture.
    """
    logs = [alpha.log_softmax(0) for alpha in alphas]
    drawn = [rng.choice(len(p), DRAWS, p=p / p.sum()) for p in map(_numbers, logs)]
    genes = np.stack(drawn, axis=1).astype(np.int64)
    genes = genes[space.is_valid(space.canonical(genes))]
    if len(genes) < 2:
        return 0.0 * logs[0].sum()
    charged = penalty(space.canonical(genes))
    advantage = torch.tensor(charged - charged.mean(), dtype=alphas[0].dtype).to(alphas[0].device)
    on = torch.from_numpy(space.active(genes)).to(alphas[0].device)
    picked = torch.from_numpy(genes).to(alphas[0].device)
    chosen = torch.stack([log[picked[:, j]] for j, log in enumerate(logs)], dim=1)
    return (advantage * (chosen * on).sum(1)).mean()


def _numbers(log: torch.Tensor) -> FloatArray:
    numbers: FloatArray = log.detach().double().cpu().exp().numpy()
    return numbers
