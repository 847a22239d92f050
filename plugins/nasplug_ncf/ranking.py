"""How high a held-out item ranks among candidates."""

from __future__ import annotations

import numpy as np

from nasplug.contracts.types import BoolArray, FloatArray, IntArray


def ranks(positive: FloatArray, others: FloatArray, counted: BoolArray) -> IntArray:
    """The rank of each held-out item, 1 the best, shape (m,).

    positive: its score, shape (m,); others: the candidates' scores, shape (m, c), of which only
    `counted` ones take part. An equal score, or one that is no number, ranks before the held-out
    item: a network that scores everything alike gains nothing.
    """
    beaten = others < positive[:, None]
    found: IntArray = 1 + (counted & ~beaten).sum(axis=1)
    return found


def hit_rate(rank: IntArray, k: int) -> float:
    """HR@k: the share of held-out items among the first k."""
    return float((rank <= k).mean())


def ndcg(rank: IntArray, k: int) -> float:
    """NDCG@k with one relevant item: the mean of log 2 / log(rank + 1), 0 beyond rank k."""
    return float(np.where(rank <= k, np.log(2) / np.log(rank + 1), 0.0).mean())
