"""Elastic linear layers and tables of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.toolkit.elastic.layer import Elastic
from nasplug.toolkit.elastic.sizes import Sized, Width, total

Gain = Callable[[tuple[int, ...]], tuple[float, ...]]
"""The factor of every part of the input axis, for the parts' active widths."""


@final
class ElasticLinear(Elastic, nn.Linear):
    """A linear layer of elastic input and output widths.

    Args:
        in_features, out_features: Numbers, or sizes that variables decide. `concat(a, b)` where
            tensors of elastic widths are joined: each keeps its own columns (or rows).
        bias: As in torch.
        gain: The active weight is used times this factor, for each part of the input axis, and
            extracted so: with it a weight can be stored at a scale of its own, such as the "neural
            tangent" scaling (Jacot et al., NeurIPS 2018). None: used as it is stored.
    """

    KIND = nn.Linear
    AXES = (("weight", ("out_features", "in_features")), ("bias", ("out_features",)))
    READS = frozenset({"in_features"})

    def __init__(
        self,
        in_features: Sized,
        out_features: Sized,
        bias: bool = True,
        gain: Gain | None = None,
    ) -> None:
        super().__init__(total(in_features), total(out_features), bias)
        self.declare(in_features=in_features, out_features=out_features)
        self.gain = gain
        self.widths = _parts(dict(self.full)["in_features"])

    def activate(self, in_features: Width | None = None, out_features: Width | None = None) -> None:
        """Use the leading inputs and outputs, of every part where they are joined."""
        self.cut(in_features, out_features)
        if self.gain is not None:
            whole = dict(self.full)["in_features"]
            self.widths = _parts(whole if in_features is None else in_features)

    def part(self, name: str) -> Any:
        """The active part, times the gain."""
        active = super().part(name)
        if self.gain is None or name != "weight":
            return active
        factors = self.gain(self.widths)
        if len(set(factors)) == 1:
            return active if factors[0] == 1.0 else active * factors[0]
        pieces = active.split_with_sizes(list(self.widths), dim=1)
        scaled = [p if f == 1.0 else p * f for p, f in zip(pieces, factors, strict=True)]
        return torch.cat(scaled, dim=1)

    def forward(self, input: Tensor) -> Tensor:
        """(.., active in) -> (.., active out)."""
        if self.cuts is None and self.gain is None:
            return functional.linear(input, self.weight, self.bias)
        return functional.linear(input, self.part("weight"), self.part("bias"))

    def positions(self, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> int:
        """Rows of the input."""
        return int(output.numel() // output.shape[-1])


@final
class ElasticEmbedding(Elastic, nn.Embedding):
    """A table of vectors of elastic width.

    Args:
        num_embeddings: Rows.
        embedding_dim: Their width: a number, or a size that variables decide.
        padding_idx: As in torch: the row that gets no gradient.
    """

    KIND = nn.Embedding
    AXES = (("weight", (None, "embedding_dim")),)

    def __init__(
        self, num_embeddings: int, embedding_dim: Sized, padding_idx: int | None = None
    ) -> None:
        super().__init__(num_embeddings, total(embedding_dim), padding_idx)
        self.declare(embedding_dim=embedding_dim)

    def activate(self, embedding_dim: int | None = None) -> None:
        """Use the leading columns."""
        self.cut(embedding_dim)

    def forward(self, input: Tensor) -> Tensor:
        """Indices of any shape -> (.., active width)."""
        # Whole rows are looked up, then cut: slicing the table first would cost a second gradient of
        # the table's size.
        rows = functional.embedding(input, self.weight, self.padding_idx)
        if self.cuts is None:
            return rows
        return rows[..., self.cuts["weight"][1]]  # the only axis that is cut


def _parts(width: Width) -> tuple[int, ...]:
    return width if isinstance(width, tuple) else (width,)
