"""Decoding many sentences: in batches of similar length, on the network's device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nasplug.toolkit.sequences.beam_search import beam_search
from nasplug_text.batching import Sentences

HYPOTHESES = 1024
"""Hypotheses that are decoded at once: sentences times beams."""
MORE = 10


def decode(
    network: nn.Module,
    sources: Sequence[Sequence[int]],
    beam: int,
    length_penalty: float,
    max_length: int,
) -> list[list[int]]:
    """The translation of each of `sources`, token ids without BEGIN and END.

    A source has at most `max_length` tokens, what is longer is cut; a translation at most that many
    and at most three times its source's tokens and ten.
    """
    sentences = Sentences([source[:max_length] for source in sources])
    order = np.argsort(sentences.lengths, kind="stable")[::-1]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    size = max(1, HYPOTHESES // beam)
    found: list[list[int]] = [[] for _ in sources]
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        batch = sentences.padded(rows, begin=False, end=True).to(device)
        limits = np.minimum(max_length, 3 * sentences.lengths[rows] + MORE).tolist()
        for row, target in zip(
            rows, beam_search(network, batch, beam, length_penalty, limits), strict=True
        ):
            found[row] = target
    return found
