"""Several proxies as one, by rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasplug.contracts.proxy import Aggregator
from nasplug.contracts.types import BoolArray, FloatArray


class Vote(Aggregator):
    """The number of other networks that a network beats, by majority of its `members` (Abdelfattah
    et al., ICLR 2021, whose vote is between two networks: `majority`)."""

    def __init__(self, members: Sequence[str] = ("synflow", "jacob_cov", "snip")) -> None:
        self.members = tuple(members)

    def combine(self, scores: FloatArray) -> FloatArray:
        """Scores of shape (n, m) to shape (n,); a tied vote counts one half."""
        wins = _votes(scores)
        beaten: FloatArray = (wins > 0).sum(axis=1) + 0.5 * ((wins == 0).sum(axis=1) - 1)
        return beaten


class RankMean(Aggregator):
    """The mean of the ranks that its `members` give, as a share of the number of networks."""

    def __init__(self, members: Sequence[str] = ("synflow", "jacob_cov", "nwot")) -> None:
        self.members = tuple(members)

    def combine(self, scores: FloatArray) -> FloatArray:
        """Scores of shape (n, m) to shape (n,); equal scores share the mean of their ranks."""
        from scipy.stats import rankdata

        mean: FloatArray = rankdata(scores, axis=0).mean(axis=1) / len(scores)
        return mean


def majority(scores: FloatArray) -> BoolArray:
    """Whether network i beats network j in most of the scores, shape (n, m) to shape (n, n)."""
    return _votes(scores) > 0


def _votes(scores: FloatArray) -> FloatArray:
    """For every pair, how many members prefer the first, less how many prefer the second."""
    total: FloatArray = np.zeros((len(scores), len(scores)))
    for column in np.asarray(scores, float).T:
        total += np.sign(column[:, None] - column[None, :])
    return total
