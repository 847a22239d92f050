"""The speech transformer: plain, or of elastic layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from nasplug import NasplugError
from nasplug_denas.asr.layers import (
    DecoderLayer,
    EncoderLayer,
    FrontEnd,
    KeysValues,
    Positions,
    hidden,
)

Memory = tuple[list[KeysValues], Tensor]
"""Keys and values for each decoder layer, and where recordings have ended, (n, t')."""


@final
class SpeechTransformer(nn.Module):
    """A convolutional front-end, a transformer encoder with a CTC head, and a decoder.

    `forward(features, frames, tokens)` takes features (n, t, mels), 0 behind each recording, its
    frames (n,), and the tokens so far, (n, u). It gives the logits of CTC (n, t', V) and their frames
    (n,), and with a decoder, if tokens are given, the logits of the next token (n, u, V). A
    network of classes gives their logits, (n, classes), of the mean frame.

    Args:
        front_end: Convolutions; `project` takes them to the encoder's width.
        encoder: A sequence of layers, and `encoder_norm` behind it.
        head: From the width to tokens, or to classes where `classifies`.
        positions: Adds positions.
        dropout: Rate on what enters the encoder and the decoder.
        decoder: `embedding`, `layers`, `norm` and `output`; or None.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        project: nn.Module,
        encoder: nn.Sequential,
        encoder_norm: nn.Module,
        head: nn.Module,
        positions: Positions,
        dropout: float,
        decoder: nn.ModuleDict | None,
        classifies: bool,
    ) -> None:
        super().__init__()
        self.front_end, self.project = front_end, project
        self.encoder, self.encoder_norm, self.head = encoder, encoder_norm, head
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.decoder = decoder
        self.classifies = classifies

    def forward(
        self, features: Tensor, frames: Tensor, tokens: Tensor | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """See the class."""
        x, lengths = self._encode(features, frames)
        if self.classifies:
            inside = ~hidden(lengths, x.shape[1])[..., None]
            mean = (x * inside).sum(1) / lengths[:, None].to(x.dtype)
            classes: Tensor = self.head(mean)
            return classes
        logits = self.head(x)
        if self.decoder is None or tokens is None:
            return logits, lengths
        padding = hidden(lengths, x.shape[1])
        y = self._embed(tokens)
        for layer in self._layers():
            y, _ = layer(y, layer.remember(x), padding, None)
        return logits, lengths, self.decoder["output"](self.decoder["norm"](y))

    def encode(self, features: Tensor, frames: Tensor) -> Memory:
        """What the decoder reads of recordings."""
        x, lengths = self._encode(features, frames)
        return [layer.remember(x) for layer in self._layers()], hidden(lengths, x.shape[1])

    def decode(
        self, tokens: Tensor, memory: Memory, cache: Sequence[KeysValues] | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Logits (n, k, V) after one more token for each of k hypotheses of n recordings, tokens
        (n, k), and the cache to be given with the next one: keys and values, of n * k rows."""
        start = 0 if cache is None else cache[0][0].shape[2]
        y = self._embed(tokens.reshape(-1, 1), start).view(*tokens.shape, -1)
        kept = []
        layers, (known, padding) = self._layers(), memory
        pasts: Sequence[KeysValues | tuple[()]] = [()] * len(layers) if cache is None else cache
        for layer, own, past in zip(layers, known, pasts, strict=True):
            y, longer = layer(y, tuple(own), padding, past)
            kept.append(longer)
        assert self.decoder is not None
        return self.decoder["output"](self.decoder["norm"](y)), kept

    def _encode(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.front_end(features, frames)
        x = self.dropout(self.positions(self.project(x)))
        padding = hidden(lengths, x.shape[1])
        for layer in self.encoder:
            assert isinstance(layer, EncoderLayer)
            x = layer(x, padding)
        return self.encoder_norm(x), lengths

    def _layers(self) -> list[DecoderLayer]:
        if self.decoder is None:
            raise NasplugError(
                "attention decoding needs a decoder, but there is none; type task.decoding=ctc, or "
                "space.decoder_layers=1 or more"
            )
        return list(self.decoder["layers"])  # type: ignore[call-overload, no-any-return]

    def _embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        assert self.decoder is not None
        x = self.decoder["embedding"](tokens)
        embedded: Tensor = self.dropout(self.positions(x * x.shape[-1] ** 0.5, start))
        return embedded


def initialise(network: SpeechTransformer) -> None:
    """Draw the weights anew as DE-NAS does, from torch's global generator: those of the transformer
    normally by Glorot and Bengio's rule, attention's three projections of an input as the one matrix
    that they are in the original, its biases 0; those of the front-end as torch does."""
    for name, module in network.named_modules():
        if name.startswith("front_end") or not isinstance(module, nn.Linear | nn.Embedding):
            continue
        fan_out, fan_in = module.weight.shape
        if name.endswith(("q_proj", "k_proj", "v_proj")):
            fan_out = 3 * fan_out
        with torch.no_grad():
            nn.init.normal_(module.weight, std=(2 / (fan_in + fan_out)) ** 0.5)
            if "attention" in name and isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
