"""The translation transformer: plain, or of elastic layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from nasplug.toolkit.sequences.tokens import PADDING
from nasplug_hat.layers import DecoderLayer, EncoderLayer, KeysValues, SinusoidalPositions

Memory = list[tuple[Tensor, Tensor, Tensor]]
"""For each decoder layer the keys, the values and the padding of what it attends to."""


@final
class TranslationTransformer(nn.Module):
    """An encoder and a decoder whose layers may attend to several of the last encoder layers.

    Wang et al., HAT: Hardware-Aware Transformers for Efficient Natural Language Processing, ACL 2020.

    `forward(source, target)` takes token ids, (n, s) and (n, t), filled up with 0 on the right, and
    gives logits, (n, t, vocabulary): those at a place are of the token after it. To translate,
    `encode` once, then `decode` one token after another.

    Args:
        source_embedding, target_embedding: The tables of tokens.
        encoder, decoder: Sequences of layers.
        output: From the decoder's width to logits, without a bias.
        positions: Adds positions to embedded tokens.
        dropouts: Of embedded source and target tokens.
        norms: Of the encoder's and the decoder's result; identities where layers normalise their own.
    """

    def __init__(
        self,
        source_embedding: nn.Module,
        target_embedding: nn.Module,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        output: nn.Module,
        positions: SinusoidalPositions,
        dropouts: Sequence[nn.Module],
        norms: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.source_embedding, self.target_embedding = source_embedding, target_embedding
        self.encoder, self.decoder, self.output = encoder, decoder, output
        self.positions = positions
        self.source_dropout, self.target_dropout = dropouts
        self.encoder_norm, self.decoder_norm = norms

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of the next token at each place of `target`, which begins with its first token."""
        memory = self.encode(source)
        x = self._embed(target, self.target_embedding, self.target_dropout)
        for layer, own in zip(self._decoder_layers(), memory, strict=True):
            x, _ = layer(x, own, None)
        logits: Tensor = self.output(self.decoder_norm(x))
        return logits

    def encode(self, source: Tensor) -> Memory:
        """What the decoder's layers attend to, for source tokens (n, s)."""
        hidden = source == PADDING
        x = self._embed(source, self.source_embedding, self.source_dropout)
        outputs = []
        for layer in self.encoder:
            assert isinstance(layer, EncoderLayer)
            x = layer(x, hidden)
            outputs.append(x)
        outputs[-1] = self.encoder_norm(x)
        return [layer.remember(outputs, hidden) for layer in self._decoder_layers()]

    def decode(
        self, tokens: Tensor, memory: Memory, cache: Sequence[KeysValues] | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Logits (n, k, vocabulary) after one more token for each of k hypotheses of n sources,
        tokens (n, k), and the cache to be given with the next one.

        A cache holds keys and values of the earlier tokens, of n * k rows.
        """
        start = 0 if cache is None else cache[0][0].shape[2]
        rows = tokens.reshape(-1, 1)
        x = self._embed(rows, self.target_embedding, self.target_dropout, start)
        x = x.view(*tokens.shape, -1)
        kept = []
        layers = self._decoder_layers()
        pasts: Sequence[KeysValues | tuple[()]] = [()] * len(layers) if cache is None else cache
        for layer, own, past in zip(layers, memory, pasts, strict=True):
            x, longer = layer(x, own, past)
            kept.append(longer)
        return self.output(self.decoder_norm(x)), kept

    def _decoder_layers(self) -> list[DecoderLayer]:
        """Those that run."""
        return list(self.decoder)  # type: ignore[arg-type]

    def _embed(
        self, tokens: Tensor, table: nn.Module, dropout: nn.Module, start: int = 0
    ) -> Tensor:
        x = table(tokens)
        embedded: Tensor = dropout(self.positions(x * x.shape[-1] ** 0.5, start))
        return embedded


def initialise(network: TranslationTransformer) -> None:
    """Draw the weights anew as HAT does, from torch's global generator.

    Linear layers uniformly by Glorot and Bengio's rule, biases 0, attention's three projections of
    an input as the one matrix that they are in the original; embeddings and an output of its own
    normally, with variance 1 / width.
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Linear | nn.Embedding):
            continue
        weight = module.weight
        with torch.no_grad():
            if isinstance(module, nn.Embedding) or module is network.output:
                if module is network.output and weight is network.target_embedding.weight:
                    continue
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
                if isinstance(module, nn.Embedding):
                    weight[PADDING].zero_()
                continue
            fan_out, fan_in = weight.shape
            if name.endswith(("q_proj", "k_proj", "v_proj")):
                fan_out = 3 * fan_out
            bound = (6 / (fan_in + fan_out)) ** 0.5
            nn.init.uniform_(weight, -bound, bound)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
