"""Batches of token ids, of similar length, filled up on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch

from nasplug.contracts.types import IntArray
from nasplug_text.batching import Sentences

POOL = 50
"""Batches at most whose texts are sorted by length together."""
POOLS = 4
"""So many pools at least, so that a batch of few texts is not the same in every epoch."""


@final
class TokenizedTexts:
    """Texts as token ids; the part of a pair that each token is of, 0 or 1; and `padding`, the id that
    fills a batch up."""

    def __init__(
        self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]], padding: int
    ) -> None:
        self.ids, self.types, self.padding = Sentences(ids), Sentences(types), padding

    def __len__(self) -> int:
        return len(self.ids.lengths)

    def batch(self, rows: IntArray) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask (1 where a token is, 0 where it is padding) and token_type_ids of
        `rows`, each (len(rows), longest), int64."""
        ids, types = (part.padded(rows, False, False) for part in (self.ids, self.types))
        lengths = torch.from_numpy(self.ids.lengths[rows])
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        return {
            "input_ids": ids.masked_fill(~mask, self.padding),
            "attention_mask": mask.to(torch.int64),
            "token_type_ids": types,
        }

    def batches(self, size: int, rng: np.random.Generator | None) -> Iterator[IntArray]:
        """Rows of every text once, `size` in a batch (the last may have fewer).

        By `rng` in random order, of similar length: those of at most 50 batches, drawn at random, are
        sorted, cut, and the batches shuffled. None: the shorter first.
        """
        n = len(self)
        if rng is None:
            order = np.argsort(self.ids.lengths, kind="stable")
            yield from (order[i : i + size] for i in range(0, n, size))
            return
        order = rng.permutation(n)
        pool = size * min(POOL, max(1, n // (POOLS * size)))
        pools = (order[i : i + pool] for i in range(0, n, pool))
        ordered = np.concatenate([p[np.argsort(self.ids.lengths[p], kind="stable")] for p in pools])
        for i in rng.permutation(-(-n // size)).tolist():
            yield ordered[i * size : (i + 1) * size]
