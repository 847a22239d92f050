"""The parts of speech transformers that torch and the elastic layers lack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from nasplug.elastic import MultiheadAttention

KeysValues = tuple[Tensor, Tensor]
"""Projected keys and values, each (n, heads, length, channels a head)."""


@final
class FrontEnd(nn.Module):
    """Convolutions over time and mel bands, each with a layer norm over channels and bands.

    As SpeechBrain's convolutional front-end (Ravanelli et al. 2021), with which DE-NAS trains: all
    blocks have `channels`; one that keeps size has a shortcut. What is behind a recording is 0 before
    every convolution, so that padding has no influence.

    Args:
        mels: Bands of the features.
        channels: Of every block.
        kernel_sizes, strides: Of each block, the same along both axes.
    """

    def __init__(
        self, mels: int, channels: int, kernel_sizes: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        width, bands = 1, mels
        for size, stride in zip(kernel_sizes, strides, strict=True):
            conv = nn.Conv2d(width, channels, size, stride, padding=size // 2)
            width, bands = channels, -(-bands // stride)
            self.convolutions.append(conv)
            self.norms.append(nn.LayerNorm(channels * bands))
        self.strides = tuple(strides)
        self.features = channels * bands

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(n, t, mels) and the frames (n,) to (n, t', features) and theirs."""
        x = features[:, None].masked_fill(hidden(frames, features.shape[1])[:, None, :, None], 0)
        for conv, norm, stride in zip(self.convolutions, self.norms, self.strides, strict=True):
            new = conv(x).transpose(1, 2)  # (n, t, channels, bands)
            frames = torch.div(frames + (stride - 1), stride, rounding_mode="floor")
            new = norm(new.flatten(2)).view_as(new).transpose(1, 2)
            new = nn.functional.leaky_relu(new)
            new = new + x if new.shape == x.shape else new
            x = new.masked_fill(hidden(frames, new.shape[2])[:, None, :, None], 0)
        return x.transpose(1, 2).flatten(2), frames


def hidden(frames: Tensor, length: int) -> Tensor:
    """Which of `length` places are behind each recording of so many frames, (n, length)."""
    return torch.arange(length, device=frames.device) >= frames[:, None]


@final
class Positions(nn.Module):
    """Positions as sines and cosines in turn, of `width` frequencies (Vaswani et al. 2017, section
    3.5); a narrower network takes the leading columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x (n, t, d) plus the positions from `start` on."""
        columns = torch.arange(0, self.width, 2, device=x.device, dtype=torch.float32)
        frequencies = torch.exp(columns * (-math.log(10_000) / self.width))
        place = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        angles = (place + float(start))[:, None] * frequencies
        table = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, : x.shape[-1]]
        return x + table.to(x.dtype)

    def extra_repr(self) -> str:
        """The full width."""
        return str(self.width)


@final
class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each with a layer norm before it and a shortcut."""

    def __init__(
        self,
        attention: MultiheadAttention,
        mlp: nn.Module,
        norms: Sequence[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.self_attention, self.mlp = attention, mlp
        self.norms = nn.ModuleList(norms)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """(n, t, d), unchanged in shape; `padding` (n, t) is true behind recordings."""
        first, second = self.norms
        attended = self.self_attention(first(x), key_padding_mask=padding)
        x = x + self.dropout(attended)
        out: Tensor = x + self.dropout(self.mlp(second(x)))
        return out


@final
class DecoderLayer(nn.Module):
    """Self-attention to earlier tokens, attention to the encoder, and an MLP, each with a layer norm
    before it and a shortcut."""

    def __init__(
        self,
        self_attention: MultiheadAttention,
        cross_attention: MultiheadAttention,
        mlp: nn.Module,
        norms: Sequence[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.self_attention, self.cross_attention = self_attention, cross_attention
        self.mlp = mlp
        self.norms = nn.ModuleList(norms)
        self.dropout = nn.Dropout(dropout)

    def remember(self, memory: Tensor) -> KeysValues:
        """Keys and values of the encoder's result (n, t, d)."""
        attention = self.cross_attention
        return attention.split(attention.k_proj(memory)), attention.split(attention.v_proj(memory))

    def forward(
        self,
        x: Tensor,
        memory: KeysValues,
        padding: Tensor,
        past: KeysValues | tuple[()] | None,
    ) -> tuple[Tensor, KeysValues | None]:
        """(n, u, d), unchanged in shape, and the keys and values of self-attention.

        With `past` None, x is a whole sequence, no token of which sees later ones. Else x is one new
        token of u hypotheses for the same recording, and `past` the keys and values of their earlier
        ones, of n * u rows; empty at the first token.
        """
        first, second, third = self.norms
        attended, past = self._look_back(first(x), past)
        x = x + self.dropout(attended)
        cross = self.cross_attention
        queries = cross.split(cross.q_proj(second(x)))
        x = x + self.dropout(cross.attend(queries, *memory, key_padding_mask=padding))
        return x + self.dropout(self.mlp(third(x))), past

    def _look_back(
        self, x: Tensor, past: KeysValues | tuple[()] | None
    ) -> tuple[Tensor, KeysValues | None]:
        if past is None:
            return self.self_attention(x, is_causal=True), None
        queries, keys, values = self.self_attention.project(x.reshape(-1, 1, x.shape[-1]))
        if past:
            keys = torch.cat([past[0], keys], 2)
            values = torch.cat([past[1], values], 2)
        return self.self_attention.attend(queries, keys, values).view_as(x), (keys, values)
