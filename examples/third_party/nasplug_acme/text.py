"""A text classifier in the manner of Hugging Face, and the space of its sizes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasplug import elastic
from nasplug.elastic import Choice


@dataclass
class TextOutput:
    """What the model returns."""

    logits: Tensor
    """(batch, classes)"""
    hidden_states: tuple[Tensor, ...]
    """After the embedding and each block, (batch, length, width)."""


class AcmeBlock(nn.Module):
    """A transformer's layer, of an elastic number of heads and inner width."""

    def __init__(self, name, width):
        super().__init__()
        heads, inner = Choice(f"{name}.heads", (1, 2)), Choice(f"{name}.inner", (16, 32))
        self.norm1, self.norm2 = (elastic.ElasticLayerNorm(width) for _ in range(2))
        self.attention = elastic.ElasticMultiheadAttention(width, heads, head_dim=8)
        self.mlp = elastic.ElasticMLP(width, inner)

    def forward(self, hidden, padding):
        seen = self.norm1(hidden)
        hidden = hidden + self.attention(seen, key_padding_mask=padding)
        return hidden + self.mlp(self.norm2(hidden))


class AcmeTextModel(nn.Module):
    """Token embedding, blocks, and a head on the mean of what is no padding."""

    def __init__(self, vocabulary, classes):
        super().__init__()
        width, depth = Choice("width", (8, 16)), Choice("depth", (1, 2))
        self.embedding = elastic.ElasticEmbedding(vocabulary, width)
        blocks = [AcmeBlock(f"block{k}", width) for k in (1, 2)]
        self.blocks = elastic.ElasticSequential(*blocks, depth=depth)
        self.head = elastic.ElasticLinear(width, classes)

    def forward(self, input_ids, attention_mask=None):
        """Tokens, and a mask that is 1 where there is one, both (batch, length)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states = [self.embedding(input_ids)]
        for block in self.blocks:
            states.append(block(states[-1], mask == 0))
        weight = mask[..., None] / mask.sum(1)[:, None, None]
        return TextOutput(self.head((states[-1] * weight).sum(1)), tuple(states))


class AcmeText(elastic.ElasticSpace):
    """Width, depth, heads and inner widths; None for a size means the task's, or a small one."""

    def __init__(
        self, vocabulary: int | None = None, classes: int | None = None, length: int | None = None
    ) -> None:
        self.vocabulary, self.classes = vocabulary or 8, classes or 2
        self.length = length or 12

    def model(self):
        """The largest model; every `Choice` in it is a design variable."""
        return AcmeTextModel(self.vocabulary, self.classes)

    def example_inputs(self, batch_size):
        """Keywords: tokens, and a mask of all."""
        tokens = torch.arange(batch_size * self.length).view(batch_size, self.length)
        return {"input_ids": tokens % self.vocabulary, "attention_mask": torch.ones_like(tokens)}
