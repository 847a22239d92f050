"""BP: the binary-relation predictor, a graph network that learns which of two is better."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Annotated, final

import numpy as np
import torch
from torch import nn

from nasplug import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    SearchSpace,
    require_at_least,
    seeded,
)
from nasplug.contracts.types import FloatArray, IntArray
from nasplug_predictors.graph import Graph


@final
class BP:
    """Ranks architectures by comparing them in pairs.

    An architecture is a graph of its design variables (`nasplug_predictors.graph`); graph
    convolutions embed it, and a linear head on the two embeddings of a pair says which is better.
    Trained on both orders of every pair such a head is a difference of scores, so the network has
    one score an architecture and learns log sigmoid(score_i - score_j) where i is better than j; to
    predict, scores are scaled to the targets. Source: Dudziak et al., "BRP-NAS: prediction-based NAS
    using GCNs" (NeurIPS 2020); with pre-training by zero-cost scores, Abdelfattah et al. (ICLR 2021).

    The defaults are a tenth of the published network, trained on all pairs at once; the choice
    `bp_published` has the published settings. There too a pair's target is which is better, where the
    authors' code takes a softmax of the two accuracies, and training does not stop early.

    Called by strategies that know the space: `set_space` first, then perhaps `pretrain`. Without
    `set_space`, every feature is a node of its own.

    Args:
        layers: graph convolutions.
        hidden: units of each.
        dropout: share of units dropped in training.
        epochs: passes over all pairs, by AdamW with a cosine learning rate.
        pairs: pairs of a step, in an order drawn anew each epoch; None: all of them.
        learning_rate: its first value.
        weight_decay: of AdamW.
        seed: of the first weights and of dropout.
    """

    def __init__(
        self,
        layers: PositiveInt = 4,
        hidden: PositiveInt = 64,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        epochs: PositiveInt = 100,
        pairs: PositiveInt | None = None,
        learning_rate: PositiveFloat = 3e-3,
        weight_decay: NonNegativeFloat = 5e-4,
        seed: NonNegativeInt = 0,
    ) -> None:
        require_at_least("layers of bp", layers, 1)
        require_at_least("hidden of bp", hidden, 1)
        require_at_least("epochs of bp", epochs, 1)
        self.layers = layers
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.pairs = pairs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self._graph: Graph | None = None
        self._start: dict[str, torch.Tensor] | None = None

    def set_space(self, space: SearchSpace) -> BP:
        """What the features are features of; forgets what was learnt."""
        self._graph, self._start = Graph.of(space), None
        return self

    def pretrain(self, X: FloatArray, scores: FloatArray) -> BP:
        """Learn to rank features (n, f) by cheap scores (n,); every later `fit` starts from there."""
        self._start = None
        self._start = copy.deepcopy(self.fit(X, scores)._model.state_dict())
        return self

    def fit(self, X: FloatArray, y: FloatArray) -> BP:
        """Learn from features (n, f) and targets (n,)."""
        y = np.asarray(y, float)
        graph = self._graph or Graph.of_columns(np.asarray(X).shape[1])
        with seeded(self.seed):
            self._model = _Network(graph, self.layers, self.hidden, self.dropout)
            if self._start is not None:
                self._model.load_state_dict(self._start)
            self._train(graph, self._model, X, y)
        scores = self._scores(X)
        spread = float(scores.var())
        slope = float(np.cov(scores, y, bias=True)[0, 1]) / spread if spread > 0 else 0.0
        self._scale = (float(scores.mean()), max(slope, 1e-9 * float(y.std())), float(y.mean()))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        middle, slope, mean = self._scale
        return mean + slope * (self._scores(X) - middle)

    def _train(self, graph: Graph, model: _Network, X: FloatArray, y: FloatArray) -> None:
        better, worse = np.nonzero(y[:, None] > y[None, :])
        if not len(better):
            return
        nodes = graph.nodes(X)
        optimiser = torch.optim.AdamW(
            model.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs)
        for _ in range(self.epochs):
            for step in self._steps(len(better)):
                both = np.stack([better[step], worse[step]])
                here, places = np.unique(both, return_inverse=True)
                good, bad = model(nodes[here])[places.reshape(both.shape)]
                loss = nn.functional.softplus(bad - good).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            schedule.step()
        model.eval()

    def _steps(self, pairs: int) -> list[IntArray]:
        """The pairs of every step of an epoch."""
        if self.pairs is None:
            return [np.arange(pairs)]
        order: IntArray = torch.randperm(pairs).numpy()
        return [order[start : start + self.pairs] for start in range(0, pairs, self.pairs)]

    @torch.no_grad()
    def _scores(self, X: FloatArray) -> FloatArray:
        graph = self._graph or Graph.of_columns(np.asarray(X).shape[1])
        parts = np.array_split(np.asarray(X, float), max(len(X) // 2048, 1))
        found = torch.cat([self._model.eval()(graph.nodes(part)) for part in parts])
        scores: FloatArray = found.double().numpy()
        return scores


class _Network(nn.Module):
    """Nodes of shape (n, nodes, features) to scores of shape (n,), read at the global node."""

    def __init__(self, graph: Graph, layers: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.flow = graph.flow
        widths = [graph.width, *[hidden] * layers]
        self.maps = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, 1)

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """One score a graph."""
        for linear, norm in zip(self.maps, self.norms, strict=True):
            nodes = self.dropout(torch.relu(norm(self.flow @ linear(nodes))))
        scores: torch.Tensor = self.head(nodes[:, -1]).squeeze(-1)
        return scores
