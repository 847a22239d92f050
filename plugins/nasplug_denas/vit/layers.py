"""The parts of the vision transformer that torch and the elastic layers lack."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.elastic import Elastic, Sized
from nasplug.toolkit.elastic.sizes import total


class PatchTokens(nn.Module):
    """A class token before the patches, and a learned position added to each of them."""

    def __init__(self, width: int, patches: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_table = nn.Parameter(torch.zeros(1, patches + 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Patches (n, p, width) -> (n, p + 1, width)."""
        first = self.part("class_token").expand(x.shape[0], -1, -1)
        tokens: Tensor = torch.cat([first, x], 1) + self.part("position_table")
        return tokens

    def part(self, name: str) -> Any:
        """A tensor; of elastic tokens, what is active."""
        return getattr(self, name)


@final
class ElasticPatchTokens(Elastic, PatchTokens):
    """Class token and positions of elastic width, the leading columns.

    Args:
        width: A number, or a size that variables decide.
        patches: Of an image.
    """

    KIND = PatchTokens
    AXES = (("class_token", (None, None, "width")), ("position_table", (None, None, "width")))

    def __init__(self, width: Sized, patches: int) -> None:
        super().__init__(total(width), patches)
        self.declare(width=width)

    def activate(self, width: int | None = None) -> None:
        """Use the leading columns."""
        self.cut(width)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """None."""
        return {}


@final
class PatchDistances(nn.Module):
    """Relative positions of the patches of a square image: learned vectors a vertical and a horizontal
    distance, for keys and for values, shared by all heads.

    Wu et al., Rethinking and Improving Relative Position Encoding for Vision Transformer, ICCV 2021,
    in AutoFormer's form (Chen et al., ICCV 2021): the vectors of both distances are added; row 0 of
    each table is that of the class token. Distances are limited to `max_distance`.
    """

    products = 2

    def __init__(self, head_dim: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        shape = 2 * max_distance + 2, head_dim
        self.key_vertical = nn.Parameter(torch.randn(shape) * 0.02)
        self.key_horizontal = nn.Parameter(torch.randn(shape) * 0.02)
        self.value_vertical = nn.Parameter(torch.randn(shape) * 0.02)
        self.value_horizontal = nn.Parameter(torch.randn(shape) * 0.02)

    def scores(self, queries: Tensor, keys: int) -> Tensor:
        """For queries (n, heads, t, d) what is added to the scores, (n, heads, t, t)."""
        n, heads, length, width = queries.shape
        table = self._vectors(self.key_vertical, self.key_horizontal, length).transpose(1, 2)
        rows = queries.permute(2, 0, 1, 3).reshape(length, n * heads, width)
        scores: Tensor = _back(rows @ table, n) * width**-0.5
        return scores

    def values(self, weights: Tensor) -> Tensor:
        """For weights (n, heads, t, t) what is added to the result, (n, heads, t, d)."""
        n, heads, length, keys = weights.shape
        table = self._vectors(self.value_vertical, self.value_horizontal, length)
        rows = weights.permute(2, 0, 1, 3).reshape(length, n * heads, keys)
        return _back(rows @ table, n)

    def _vectors(self, vertical: Tensor, horizontal: Tensor, length: int) -> Tensor:
        """The vector of each pair of tokens, (length, length, d)."""
        side = isqrt(length - 1)
        place = torch.arange(length - 1, device=vertical.device)
        row, column = place // side, place % side
        return vertical[self._rows(row)] + horizontal[self._rows(column)]

    def _rows(self, place: Tensor) -> Tensor:
        """The row of a table for each pair of tokens, the class token the first of them."""
        most = self.max_distance
        distance = (place[None] - place[:, None]).clamp(-most, most) + most + 1
        return functional.pad(distance, (1, 0, 1, 0))


def _back(rows: Tensor, n: int) -> Tensor:
    """(t, n * heads, d) -> (n, heads, t, d)."""
    length, _, width = rows.shape
    return rows.reshape(length, n, -1, width).permute(1, 2, 0, 3)


@final
class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training, a sample's branch is left out at a `rate`."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Unchanged in shape; what is kept is scaled so that the mean stays."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)


@final
class EncoderLayer(nn.Module):
    """Attention, then an MLP, each after a layer norm and beside a shortcut."""

    def __init__(
        self,
        attention: nn.Module,
        mlp: nn.Module,
        norms: tuple[nn.Module, nn.Module],
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = norms
        self.attention, self.mlp = attention, mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, width), unchanged in shape."""
        x = x + self.drop_path(self.attention(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out
