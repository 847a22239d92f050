"""The controller of ENAS: a policy over the design variables."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import nn

from nasplug import SearchSpace

TEMPERATURE, BOUND = 5.0, 2.5
"""Logits are bound * tanh(logits / temperature), so that the policy cannot settle early (Pham et al.
2018, section 3)."""


class Sample(NamedTuple):
    """What the policy drew."""

    genes: torch.Tensor
    """Option indices, not canonical, int64, shape (n, v), on the CPU."""

    log_p: torch.Tensor
    """Log probability of each row, over its active variables, shape (n,)."""

    entropy: torch.Tensor
    """Of the policy along each row, over its active variables, shape (n,)."""


@final
class Controller(nn.Module):
    """An LSTM that chooses one variable after the other, and reads what it chose.

    Pham, Guan, Zoph, Le, Dean, "Efficient neural architecture search via parameter sharing" (ICML
    2018), section 2.1. Variables that take no part in an architecture count for nothing.
    """

    def __init__(self, space: SearchSpace, hidden: int) -> None:
        super().__init__()
        counts = [len(v.options) for v in space.variables]
        self.space = space
        self.first = [1 + sum(counts[:j]) for j in range(len(counts))]
        self.chosen = nn.Embedding(1 + sum(counts), hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList(nn.Linear(hidden, count) for count in counts)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, n: int, generator: torch.Generator) -> Sample:
        """Draw `n` architectures."""
        state = None
        read = torch.zeros(n, dtype=torch.int64)
        genes, logs, entropies = [], [], []
        for first, head in zip(self.first, self.heads, strict=True):
            state = self.cell(self.chosen(read), state)
            log = (BOUND * torch.tanh(head(state[0]) / TEMPERATURE)).log_softmax(1)
            option = torch.multinomial(log.detach().exp(), 1, generator=generator)
            genes.append(option[:, 0])
            logs.append(log.gather(1, option)[:, 0])
            entropies.append(-(log.exp() * log).sum(1))
            read = first + option[:, 0]
        drawn = torch.stack(genes, 1)
        on = torch.from_numpy(self.space.active(drawn.numpy()))
        return Sample(
            drawn, (torch.stack(logs, 1) * on).sum(1), (torch.stack(entropies, 1) * on).sum(1)
        )
