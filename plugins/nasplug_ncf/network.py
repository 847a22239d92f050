"""NeuMF: the recommender, of plain layers or elastic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn


@dataclass(frozen=True)
class Widths:
    """What an architecture decides: the width of every table, and of each layer of the tower."""

    gmf: int
    user: int
    item: int
    hidden: tuple[int, ...]


class NeuMF(nn.Module):
    """Neural matrix factorisation (He et al. 2017, section 3.4).

    Two pairs of embeddings: the GMF pair is multiplied, the other is concatenated and goes through
    a ReLU tower; both meet in one linear layer. `forward(users, items)` takes indices of shape (b,)
    and returns logits, shape (b,).

    Args:
        tables: Embeddings: GMF's of users and of items, the tower's of users and of items.
        tower: The tower's linear layers, in a sequence.
        output: The linear layer of the tower's and GMF's result, in this order.
    """

    def __init__(
        self, tables: Sequence[nn.Module], tower: nn.Sequential, output: nn.Module
    ) -> None:
        super().__init__()
        self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item = tables
        self.tower = tower
        self.relu = nn.ReLU()
        self.output = output
        for table in tables:
            weight = table.get_parameter("weight")
            nn.init.normal_(weight, std=0.01)  # as the authors' own code

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """The logit of "user likes item", shape (b,)."""
        hidden = torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=-1)
        for layer in self.tower:
            hidden = self.relu(layer(hidden))
        product = self.gmf_user(users) * self.gmf_item(items)
        logits: torch.Tensor = self.output(torch.cat([hidden, product], dim=-1))
        return logits.squeeze(-1)


def neumf(users: int, items: int, widths: Widths) -> NeuMF:
    """A plain NeuMF of these widths, with fresh weights."""
    tables = [
        nn.Embedding(users, widths.gmf),
        nn.Embedding(items, widths.gmf),
        nn.Embedding(users, widths.user),
        nn.Embedding(items, widths.item),
    ]
    sizes = (widths.user + widths.item, *widths.hidden)
    tower = nn.Sequential(*(nn.Linear(*ends) for ends in pairwise(sizes)))
    return NeuMF(tables, tower, nn.Linear(widths.hidden[-1] + widths.gmf, 1))
