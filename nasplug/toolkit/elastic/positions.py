"""Relative positions in attention, plain and elastic: a bias on the scores, or learned vectors.

The distance of a key from a query is limited to `max_distance` on either side; the last query
stands where the last key does, so that a decoder with a cache sees the distances that it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from nasplug.toolkit.elastic.layer import Elastic
from nasplug.toolkit.elastic.sizes import Sized, total


def distances(queries: int, keys: int, max_distance: int, device: torch.device) -> Tensor:
    """The row of a table for each pair, (queries, keys), from 0 to 2 * max_distance."""
    place = torch.arange(keys - queries, keys, device=device)[:, None]
    distance = torch.arange(keys, device=device)[None] - place
    return distance.clamp(-max_distance, max_distance) + max_distance


class RelativeBias(nn.Module):
    """A learned number a distance and head, added to the scores (Raffel et al., T5, JMLR 2020)."""

    products = 0
    """Further products of the size of the two of attention."""

    def __init__(self, num_heads: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.weight = nn.Parameter(torch.zeros(2 * max_distance + 1, num_heads))

    def scores(self, queries: Tensor, keys: int) -> Tensor:
        """(n, heads, q, d) -> (1, heads, q, keys)."""
        place = distances(queries.shape[2], keys, self.max_distance, queries.device)
        bias: Tensor = self.part("weight")[place].permute(2, 0, 1)[None]
        return bias

    def values(self, weights: Tensor) -> Tensor | None:
        """Nothing."""
        return None

    def part(self, name: str) -> Any:
        """The table; of an elastic one, what is active."""
        return getattr(self, name)


class RelativeEmbedding(nn.Module):
    """A learned vector a distance for keys and one for values, shared by all heads.

    Shaw et al., Self-Attention with Relative Position Representations, NAACL 2018.
    """

    products = 2

    def __init__(self, head_dim: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        rows = 2 * max_distance + 1
        self.key_table = nn.Parameter(torch.randn(rows, head_dim) * 0.02)
        self.value_table = nn.Parameter(torch.randn(rows, head_dim) * 0.02)

    def scores(self, queries: Tensor, keys: int) -> Tensor:
        """(n, heads, q, d) -> (n, heads, q, keys)."""
        n, heads, length, width = queries.shape
        place = distances(length, keys, self.max_distance, queries.device)
        table = self.part("key_table")[place].transpose(1, 2)  # (q, d, keys)
        rows = queries.permute(2, 0, 1, 3).reshape(length, n * heads, width)
        scores: Tensor = self._back(rows @ table, n) * width**-0.5
        return scores

    def values(self, weights: Tensor) -> Tensor | None:
        """(n, heads, q, k) -> (n, heads, q, d)."""
        n, heads, length, keys = weights.shape
        place = distances(length, keys, self.max_distance, weights.device)
        rows = weights.permute(2, 0, 1, 3).reshape(length, n * heads, keys)
        return self._back(rows @ self.part("value_table")[place], n)

    def _back(self, rows: Tensor, n: int) -> Tensor:
        length, _, width = rows.shape
        return rows.reshape(length, n, -1, width).permute(1, 2, 0, 3)

    def part(self, name: str) -> Any:
        """A table."""
        return getattr(self, name)


@final
class ElasticRelativeBias(Elastic, RelativeBias):
    """A relative bias for an elastic number of heads.

    Args:
        num_heads: Heads: a number, or a size that variables decide.
        head_dim: Not used; any kind of relative positions is given it.
        max_distance: Greater distances have the same bias.
    """

    KIND = RelativeBias
    AXES = (("weight", (None, "num_heads")),)

    def __init__(self, num_heads: Sized, head_dim: Sized, max_distance: int) -> None:
        super().__init__(total(num_heads), max_distance)
        self.declare(num_heads=num_heads)

    def activate(self, num_heads: int | None = None, head_dim: int | None = None) -> None:
        """Use the leading heads."""
        self.cut(num_heads)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """None."""
        return {}


@final
class ElasticRelativeEmbedding(Elastic, RelativeEmbedding):
    """Relative vectors of an elastic number of channels a head.

    Args:
        num_heads: Not used; any kind of relative positions is given it.
        head_dim: Channels of a head: a number, or a size that variables decide.
        max_distance: Greater distances have the same vectors.
    """

    KIND = RelativeEmbedding
    AXES = (("key_table", (None, "head_dim")), ("value_table", (None, "head_dim")))

    def __init__(self, num_heads: Sized, head_dim: Sized, max_distance: int) -> None:
        super().__init__(total(head_dim), max_distance)
        self.declare(head_dim=head_dim)

    def activate(self, num_heads: int | None = None, head_dim: int | None = None) -> None:
        """Use the leading channels."""
        self.cut(head_dim)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """None."""
        return {}
