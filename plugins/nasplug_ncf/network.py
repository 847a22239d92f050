"""NeuMF: the recommender of one architecture, on its own."""

from __future__ import annotations

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
    """

    def __init__(self, users: int, items: int, widths: Widths) -> None:
        super().__init__()
        self.gmf_user = nn.Embedding(users, widths.gmf)
        self.gmf_item = nn.Embedding(items, widths.gmf)
        self.mlp_user = nn.Embedding(users, widths.user)
        self.mlp_item = nn.Embedding(items, widths.item)
        sizes = (widths.user + widths.item, *widths.hidden)
        self.tower = nn.ModuleList(nn.Linear(*ends) for ends in pairwise(sizes))
        self.relu = nn.ReLU()
        self.output = nn.Linear(widths.hidden[-1] + widths.gmf, 1)
        for table in (self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item):
            nn.init.normal_(table.weight, std=0.01)  # as the authors' own code

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """The logit of "user likes item", shape (b,)."""
        hidden = torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=-1)
        for layer in self.tower:
            hidden = self.relu(layer(hidden))
        product = self.gmf_user(users) * self.gmf_item(items)
        logits: torch.Tensor = self.output(torch.cat([hidden, product], dim=-1))
        return logits.squeeze(-1)
