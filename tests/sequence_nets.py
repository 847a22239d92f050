"""Tiny encoder-decoders: one that keeps a cache, and one that is only called."""

import torch
from torch import nn

from nasplug.toolkit.sequences.tokens import PADDING


class Attending(nn.Module):
    """A GRU on each side, and attention to the source; decodes with a cache."""

    def __init__(self, source_vocabulary=11, target_vocabulary=9, width=16):
        super().__init__()
        self.source = nn.Embedding(source_vocabulary, width)
        self.target = nn.Embedding(target_vocabulary, width)
        self.reader = nn.Linear(width, width)
        self.writer = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(2 * width, target_vocabulary)

    def encode(self, source):
        return {"keys": self.reader(self.source(source)), "mask": source == PADDING}

    def decode(self, tokens, memory, cache):
        n, k = tokens.shape
        states, cache = self.writer(
            self.target(tokens.reshape(n * k, 1)),
            None if cache is None else cache[0].transpose(0, 1).contiguous(),
        )
        return self._read(states.view(n, k, -1), memory), (cache.transpose(0, 1),)

    def forward(self, source, target):
        states, _ = self.writer(self.target(target))
        return self._read(states, self.encode(source))

    def _read(self, states, memory):
        scores = states @ memory["keys"].transpose(1, 2)
        weights = scores.masked_fill(memory["mask"][:, None], float("-inf")).softmax(-1)
        return self.head(torch.cat([states, weights @ memory["keys"]], dim=-1))


class Plain(nn.Module):
    """The same network, which offers nothing but its call."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, source, target):
        return self.network(source, target)
