"""Batches of recordings of similar length, by frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from nasplug.contracts.types import IntArray
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING


def cuts(lengths: IntArray, frames: int) -> list[int]:
    """Where batches begin among recordings sorted by length, and the end: a batch has at most
    `frames`, its recordings times the longest, but at least one recording."""
    found, values = [0], np.sort(lengths).tolist()
    for place, length in enumerate(values):
        if place > found[-1] and (place - found[-1] + 1) * length > frames:
            found.append(place)
    return [*found, len(values)]


def batches(
    lengths: IntArray, edges: Sequence[int], rng: np.random.Generator | None
) -> Iterator[IntArray]:
    """The places of every recording once: sorted by length and cut at `edges`, batches in random
    order (None: the shorter first), so that there are always as many."""
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    places = np.arange(len(edges) - 1)
    for place in (places if rng is None else rng.permutation(places)).tolist():
        yield order[edges[place] : edges[place + 1]]


def padded(features: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (frames, bands) of n recordings as (n, longest, bands), 0 behind each, and their
    frames (n,), int64."""
    frames = torch.tensor([len(one) for one in features])
    return torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True), frames


def tokens(sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """BEGIN and the tokens, the tokens and END; PADDING behind each: (n, longest + 1) both, int64."""
    longest = max(map(len, sequences)) + 1
    before = torch.full((len(sequences), longest), PADDING)
    after = before.clone()
    for row, sequence in enumerate(sequences):
        ids = torch.tensor(sequence, dtype=torch.int64)
        before[row, 0] = BEGIN
        before[row, 1 : len(ids) + 1] = ids
        after[row, : len(ids)] = ids
        after[row, len(ids)] = END
    return before, after
