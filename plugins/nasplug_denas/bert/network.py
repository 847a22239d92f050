"""BERT (Devlin et al., NAACL 2019): plain, or of elastic layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from nasplug import NasplugError
from nasplug.elastic import MultiheadAttention


@final
class BertLayer(nn.Module):
    """Self-attention and an MLP, the sum of each with its shortcut normalised.

    Args:
        attention, mlp: The two parts.
        norms: Their layer norms.
        dropout: Rate on both outputs.
    """

    def __init__(
        self,
        attention: MultiheadAttention,
        mlp: nn.Module,
        norms: Sequence[nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.norms = nn.ModuleList(norms)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """(n, t, d), unchanged in shape; `hidden` (n, t) is true at padding."""
        first, second = self.norms
        x = first(x + self.dropout(self.attention(x, key_padding_mask=hidden)))
        out: Tensor = second(x + self.dropout(self.mlp(x)))
        return out


@final
class TextHead(nn.Module):
    """Classes of a text, from its first token by way of the pooler: (n, t, d) to (n, classes)."""

    def __init__(self, pooler: nn.Module, output: nn.Module, dropout: float) -> None:
        super().__init__()
        self.pooler, self.output = pooler, output
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.output(self.dropout(self.pooler(x[:, 0]).tanh()))
        return logits


@final
class TokenHead(nn.Module):
    """Numbers for each token, such as how well an answer begins and ends there: (n, t, d) to
    (n, t, numbers)."""

    def __init__(self, output: nn.Module) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.output(x)
        return logits


@final
class Bert(nn.Module):
    """An encoder of texts with a head.

    `forward(input_ids, attention_mask, token_type_ids)` takes int64 (n, t) each, as Hugging Face's
    does: a mask is 0 at padding, a type 1 in the second text of a pair.

    Args:
        embeddings: Tables of tokens, positions and types.
        norm: Of their sum.
        encoder: A sequence of `BertLayer`.
        head: From (n, t, d) to what is asked for.
        dropout: Rate on what goes into the encoder.
    """

    def __init__(
        self,
        embeddings: Sequence[nn.Module],
        norm: nn.Module,
        encoder: nn.Sequential,
        head: nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding, self.type_embedding = embeddings
        self.norm, self.encoder, self.head = norm, encoder, head
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """The head's logits. Without a mask nothing is padding, without types all is one text."""
        table: Any = self.position_embedding.weight
        length, most = input_ids.shape[1], table.shape[0]
        if length > most:
            raise NasplugError(
                f"a text must have at most {most} tokens, the positions of the network, but has {length}"
            )
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        places = torch.arange(length, device=input_ids.device)
        x = self.token_embedding(input_ids) + self.position_embedding(places)
        x = self.dropout(self.norm(x + self.type_embedding(types)))
        hidden = None if attention_mask is None else attention_mask == 0
        for layer in self.encoder:
            x = layer(x, hidden)
        logits: Tensor = self.head(x)
        return logits


@torch.no_grad()
def initialise(network: nn.Module, std: float) -> None:
    """Draw the weights anew as BERT does, from torch's global generator: weights of linear layers and
    embeddings normally, with this standard deviation, biases 0, norms as they are."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
