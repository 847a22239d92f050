"""The parts of the translation transformer that torch and the elastic layers lack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.elastic import Elastic, MultiheadAttention, Sized

FIRST_POSITION = 2
"""Of the first token: fairseq, with which HAT was trained, counts from after its padding index, 1."""

KeysValues = tuple[Tensor, Tensor]
"""Projected keys and values, each (n, heads, length, channels a head)."""


@final
class SinusoidalPositions(nn.Module):
    """Positions as sines and cosines of `width` frequencies (Vaswani et al. 2017, section 3.5).

    The first half of the columns are sines, the second cosines, as in tensor2tensor and fairseq. A
    narrower network takes the leading columns: of 640, a 512 wide one has 320 sines, 192 cosines.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x (n, t, d) plus the positions from `start` on."""
        half = self.width // 2
        place = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        steps = torch.arange(half, device=x.device, dtype=torch.float32)
        frequencies = torch.exp(steps * -(math.log(10_000) / max(half - 1, 1)))
        angles = (place + float(FIRST_POSITION + start))[:, None] * frequencies
        table = torch.cat([angles.sin(), angles.cos()], 1)[:, : x.shape[-1]]
        return x + table.to(x.dtype)

    def extra_repr(self) -> str:
        """The full width."""
        return str(self.width)


@final
class ScaledDropout(nn.Module):
    """Dropout whose rate falls with the width: `rate` at the full one, in proportion below.

    Wang et al., HAT, 2020, scale every dropout on the embedding width so, except that on the
    encoder's self-attention, which their code leaves at the full rate; here it is scaled too.
    """

    def __init__(self, rate: float, width: int) -> None:
        super().__init__()
        self.rate, self.width = rate, width

    def forward(self, x: Tensor) -> Tensor:
        """(.., active width), unchanged in shape."""
        if not self.training or not self.rate:
            return x
        return functional.dropout(x, self.rate * x.shape[-1] / self.width)

    def extra_repr(self) -> str:
        """The rate, and at which width."""
        return f"{self.rate}, {self.width}"


class LastLayers(nn.Module):
    """What a decoder layer attends to: the outputs of the last encoder layers, joined in time."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        """Outputs of all encoder layers, each (n, s, d), to (n, layers * s, d), the last one first."""
        if self.layers == 1:
            return outputs[-1]
        return torch.cat(list(outputs[: -self.layers - 1 : -1]), 1)

    def extra_repr(self) -> str:
        """How many, which no weight's shape shows."""
        return str(self.layers)


@final
class ElasticLastLayers(Elastic, LastLayers):
    """The last encoder layers, as many as a variable says.

    Args:
        layers: A number, or a size that variables decide.
    """

    KIND = LastLayers

    def __init__(self, layers: Sized) -> None:
        super().__init__(0)
        self.declare(layers=layers)
        self.activate()

    def activate(self, layers: int | None = None) -> None:
        """Join so many."""
        most: Any = self.full[0][1]
        self.layers = most if layers is None else layers


@final
class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each with a shortcut and a layer norm.

    Args:
        attention, mlp: The two parts.
        norms: Their layer norms, in a `ModuleList`.
        dropout: Of both outputs.
        pre_norm: Normalise what goes into a part; else the sum with the shortcut, as published.
    """

    def __init__(
        self,
        attention: MultiheadAttention,
        mlp: nn.Module,
        norms: Sequence[nn.Module],
        dropout: nn.Module,
        pre_norm: bool,
    ) -> None:
        super().__init__()
        self.self_attention, self.mlp = attention, mlp
        self.norms = nn.ModuleList(norms)
        self.dropout = dropout
        self.pre_norm = pre_norm

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(n, s, d), unchanged in shape; `hidden` (n, s) is true at padding."""
        first, second = self.norms
        if self.pre_norm:
            attended = self.self_attention(first(x), key_padding_mask=hidden)
            x = x + self.dropout(attended)
            out: Tensor = x + self.dropout(self.mlp(second(x)))
            return out
        x = first(x + self.dropout(self.self_attention(x, key_padding_mask=hidden)))
        out = second(x + self.dropout(self.mlp(x)))
        return out


@final
class DecoderLayer(nn.Module):
    """Self-attention to earlier tokens, attention to the encoder, and an MLP.

    Args:
        self_attention, cross_attention, mlp: The three parts.
        memory: Which encoder outputs are attended to, a `LastLayers`.
        norms: Their layer norms.
        dropout, pre_norm: As in `EncoderLayer`.
    """

    def __init__(
        self,
        self_attention: MultiheadAttention,
        cross_attention: MultiheadAttention,
        mlp: nn.Module,
        memory: LastLayers,
        norms: Sequence[nn.Module],
        dropout: nn.Module,
        pre_norm: bool,
    ) -> None:
        super().__init__()
        self.self_attention, self.cross_attention = self_attention, cross_attention
        self.mlp, self.memory = mlp, memory
        self.norms = nn.ModuleList(norms)
        self.dropout = dropout
        self.pre_norm = pre_norm

    def remember(self, outputs: Sequence[Tensor], hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of the encoder layers that are attended to, and where they are padding:
        (n, heads, m * s, channels a head) twice and (n, m * s)."""
        attention = self.cross_attention
        memory = self.memory(outputs)
        keys = attention.split(attention.k_proj(memory))
        values = attention.split(attention.v_proj(memory))
        return keys, values, hidden.repeat(1, self.memory.layers)

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor, Tensor],
        past: KeysValues | tuple[()] | None,
    ) -> tuple[Tensor, KeysValues | None]:
        """(n, t, d), unchanged in shape, and the keys and values of self-attention.

        With `past` None, x is a whole sequence, no token of which sees later ones. Else x is one new
        token of t hypotheses for the same source, and `past` the keys and values of their earlier
        ones, of n * t rows; empty at the first token.
        """
        first, second, third = self.norms
        if self.pre_norm:
            attended, past = self._look_back(first(x), past)
            x = x + self.dropout(attended)
            x = x + self.dropout(self._look_over(second(x), memory))
            return x + self.dropout(self.mlp(third(x))), past
        attended, past = self._look_back(x, past)
        x = first(x + self.dropout(attended))
        x = second(x + self.dropout(self._look_over(x, memory)))
        return third(x + self.dropout(self.mlp(x))), past

    def _look_back(
        self, x: Tensor, past: KeysValues | tuple[()] | None
    ) -> tuple[Tensor, KeysValues | None]:
        if past is None:
            return self.self_attention(x, is_causal=True), None
        rows = x.reshape(-1, 1, x.shape[-1])
        queries, keys, values = self.self_attention.project(rows)
        if past:
            keys = torch.cat([past[0], keys], 2)
            values = torch.cat([past[1], values], 2)
        return self.self_attention.attend(queries, keys, values).view_as(x), (keys, values)

    def _look_over(self, x: Tensor, memory: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        keys, values, hidden = memory
        attention = self.cross_attention
        queries = attention.split(attention.q_proj(x))
        return attention.attend(queries, keys, values, key_padding_mask=hidden)
