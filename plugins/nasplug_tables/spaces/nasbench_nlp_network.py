"""The language models of NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import torch
from torch import nn

from nasplug_tables.spaces.nasbench_nlp_cell import LINEAR, SOURCES, Cell

FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "blend": lambda z, a, b: z * a + (1 - z) * b,
    "elementwise_prod": torch.mul,
    "elementwise_sum": torch.add,
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": nn.functional.leaky_relu,
}


class LanguageModel(nn.Module):
    """A language model: word numbers (b, t) to logits of each next word (b, t, vocabulary).

    The embedding and the last layer share their weights, so the last recurrent layer is as wide as
    the embedding.
    """

    def __init__(
        self, cell: Cell, vocabulary: int, embedding: int, hidden: int, layers: int
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding)
        widths = [embedding, *[hidden] * (layers - 1), embedding]
        self.layers = nn.Sequential(*(Recurrent(cell, i, o) for i, o in pairwise(widths)))
        self.decode = nn.Linear(embedding, vocabulary)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.zeros_(self.decode.bias)
        self.decode.weight = self.embed.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Embedding, recurrent layers, output layer."""
        out: torch.Tensor = self.decode(self.layers(self.embed(words)))
        return out


class Recurrent(nn.Module):
    """Applies a cell along a sequence, (b, t, inputs) to (b, t, width); the states start at zero."""

    def __init__(self, cell: Cell, inputs: int, width: int) -> None:
        super().__init__()
        self.cell = cell
        self.width = width
        self.linear = nn.ModuleDict(
            {
                str(place): nn.Linear(sum(width if s else inputs for s in node.inputs), width)
                for place, node in enumerate(cell.nodes)
                if node.operation in LINEAR
            }
        )
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / sqrt(width), 1 / sqrt(width))

    def extra_repr(self) -> str:
        """The graph of the cell."""
        nodes = [f"{node.operation}{node.inputs}" for node in self.cell.nodes]
        return f"{' '.join(nodes)} -> {self.cell.states}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The first state at each step."""
        states = [x.new_zeros(len(x), self.width)] * len(self.cell.states)
        outputs = []
        for step in x.unbind(1):
            states = self._step(step, states)
            outputs.append(states[0])
        return torch.stack(outputs, dim=1)

    def _step(self, x: torch.Tensor, states: list[torch.Tensor]) -> list[torch.Tensor]:
        values = dict(enumerate([x, *states]))
        for place, node in enumerate(self.cell.nodes):
            inputs = [values[source] for source in node.inputs]
            values[len(SOURCES) + place] = (
                self.linear[str(place)](torch.cat(inputs, dim=1))
                if node.operation in LINEAR
                else FUNCTIONS[node.operation](*inputs)
            )
        return [values[len(SOURCES) + node] for node in self.cell.states]
