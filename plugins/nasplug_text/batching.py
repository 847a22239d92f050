"""Batches of sentence pairs, by tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch

from nasplug.contracts.types import IntArray
from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING


@final
class Sentences:
    """Sentences as token ids, one after the other in one array."""

    def __init__(self, sentences: Sequence[Sequence[int]]) -> None:
        self.lengths: IntArray = np.array([len(s) for s in sentences], np.int64)
        self.starts: IntArray = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.ids = np.fromiter(
            (i for s in sentences for i in s), np.int32, count=int(self.lengths.sum())
        )

    def lists(self) -> list[list[int]]:
        """The ids of each sentence."""
        return [part.tolist() for part in np.split(self.ids, self.starts[1:])]

    def padded(self, rows: IntArray, begin: bool, end: bool) -> torch.Tensor:
        """Those of `rows`, each after BEGIN and before END where asked for, and then PADDING, as
        int64, (len(rows), longest)."""
        lengths = self.lengths[rows]
        size = int(begin) + int(lengths.max()) + int(end)
        batch = np.full((len(rows), size), PADDING, np.int64)
        inside = np.arange(size)[None] - int(begin)
        place = np.minimum(self.starts[rows][:, None] + inside.clip(0), len(self.ids) - 1)
        np.copyto(batch, self.ids[place], where=(inside >= 0) & (inside < lengths[:, None]))
        if begin:
            batch[:, 0] = BEGIN
        if end:
            batch[np.arange(len(rows)), lengths + int(begin)] = END
        return torch.from_numpy(batch)


@final
class TokenizedPairs:
    """Pairs as token ids; a source has END behind it, a target BEGIN before it or END behind it."""

    def __init__(self, source: Sequence[Sequence[int]], target: Sequence[Sequence[int]]) -> None:
        self.source, self.target = Sentences(source), Sentences(target)

    def __len__(self) -> int:
        return len(self.source.lengths)

    @property
    def longer(self) -> IntArray:
        """The length of each pair's longer side, END counted; shape (n,)."""
        return np.maximum(self.source.lengths, self.target.lengths) + 1

    def batch(self, rows: IntArray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(source (n, s), target_in (n, t), target_out (n, t)) of `rows`."""
        return (
            self.source.padded(rows, begin=False, end=True),
            self.target.padded(rows, begin=True, end=False),
            self.target.padded(rows, begin=False, end=True),
        )

    def batches(self, tokens: int, rng: np.random.Generator | None) -> Iterator[IntArray]:
        """Rows of every pair once: of similar length, in random order (None: the shorter first), a
        batch having at most `tokens`, its pairs times its longest side, but at least one pair.

        As in fairseq, the order is random only within pairs of the same two lengths, and among the
        batches; how many batches there are is therefore always the same.
        """
        n = len(self)
        order = np.arange(n) if rng is None else rng.permutation(n)
        longer = self.longer
        other = np.minimum(self.source.lengths, self.target.lengths)
        order = order[np.lexsort((other[order], longer[order]))]
        cut = _cuts(longer[order], tokens)
        places = np.arange(len(cut) - 1) if rng is None else rng.permutation(len(cut) - 1)
        for place in places:
            yield order[cut[place] : cut[place + 1]]

    def count(self, tokens: int) -> int:
        """How many batches `batches` gives."""
        return len(_cuts(np.sort(self.longer), tokens)) - 1


def _cuts(lengths: IntArray, tokens: int) -> list[int]:
    """Where batches of ascending `lengths` begin, and the end."""
    cuts, values = [0], lengths.tolist()
    for place, length in enumerate(values):
        if place > cuts[-1] and (place - cuts[-1] + 1) * length > tokens:
            cuts.append(place)
    return [*cuts, len(values)]
