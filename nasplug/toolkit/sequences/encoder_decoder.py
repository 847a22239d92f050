"""What a network that writes sequences may offer so that decoding is fast."""

from __future__ import annotations

from typing import Any, Protocol, cast, final, runtime_checkable

import torch
from torch import nn

from nasplug.toolkit.sequences.tokens import PADDING


@runtime_checkable
class EncoderDecoder(Protocol):
    """A network that decodes token by token and keeps what it computed for earlier ones.

    Its plain call is `network(source, target) -> logits`: source (n, s) and target (n, t) int64,
    padded on the right with PADDING, logits (n, t, V); logits at position j follow from the target up
    to j. `decode` gives the same logits one position at a time.
    """

    def encode(self, source: torch.Tensor) -> Any:
        """What the decoder reads of the sentences `source`, (n, s): tensors, nested, whose axis 0 is n."""

    def decode(self, tokens: torch.Tensor, memory: Any, cache: Any) -> tuple[torch.Tensor, Any]:
        """Logits (n, k, V) after one more token for each of k hypotheses of n sentences.

        tokens: (n, k), the newest of each; memory: of `encode`; cache: None at the first token, else
        what the call before returned. The new cache: tensors, nested, whose axis 0 is n * k, row
        i * k + j being hypothesis j of sentence i.
        """


@final
class Recomputed:
    """Any `network(source, target) -> logits` as an `EncoderDecoder`: the whole target anew for each
    token, so that the time of a sentence grows with the square of its length, or faster."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def encode(self, source: torch.Tensor) -> torch.Tensor:
        """The source itself, (n, s)."""
        return source

    def decode(self, tokens: torch.Tensor, memory: Any, cache: Any) -> tuple[torch.Tensor, Any]:
        """The cache is the target so far, (n * k, t)."""
        n, k = tokens.shape
        target = tokens.reshape(n * k, 1)
        if cache is not None:
            target = torch.cat([cache, target], dim=1)
        used = max(1, int((memory != PADDING).sum(1).max()))
        source = memory[:, :used].repeat_interleave(k, dim=0)
        logits = self.network(source, target)[:, -1]
        return logits.view(n, k, -1), target


def as_encoder_decoder(network: nn.Module) -> EncoderDecoder:
    """`network` itself where it decodes with a cache, else `Recomputed` around it."""
    found: object = network
    if isinstance(found, EncoderDecoder):
        return found
    return cast(EncoderDecoder, Recomputed(network))
