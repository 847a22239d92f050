"""Negative items: drawn among those that are not among a user's known ones."""

from __future__ import annotations

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import IntArray


class NegativeSampler:
    """Draws items uniformly outside each user's known ones, exactly and without rejection.

    With a user's known items f_0 < f_1 < .., the r-th other item is r + #{j: f_j - j <= r}: one
    binary search a draw, over the f_j - j of all users laid end to end.
    """

    def __init__(self, known: IntArray, users: int, items: int) -> None:
        """`known`: (user, item) pairs never to be drawn, shape (n, 2)."""
        keys = np.unique(known[:, 0] * items + known[:, 1])
        bounds = np.searchsorted(keys, np.arange(users + 1) * items)
        counts = np.diff(bounds)
        self.items = items
        self._keys = keys
        self._start = bounds[:-1]
        self._free = items - counts
        self._shifted = keys - (np.arange(len(keys)) - np.repeat(bounds[:-1], counts))

    def draw(self, users: IntArray, rng: np.random.Generator) -> IntArray:
        """One item for each entry of `users`, same shape; draws are independent and may repeat."""
        free = self._free[users]
        if not free.all():
            raise NasplugError(
                f"a negative item must exist for every user, but user {users[free == 0][0]} has all "
                f"{self.items} items; leave such users out"
            )
        place = rng.integers(0, free)
        before = np.searchsorted(self._shifted, users * self.items + place, side="right")
        negatives: IntArray = place + before - self._start[users]
        return negatives

    def distinct(self, users: IntArray, n: int, rng: np.random.Generator) -> IntArray:
        """`n` different items a user, shape (len(users), n); -1 where a user has fewer left."""
        rows = []
        n_found = min(n, self.items)
        for block in np.array_split(users, max(1, len(users) * self.items // 4_000_000)):
            order = rng.random((len(block), self.items))
            known = self.known(block)
            order[known[:, 0], known[:, 1]] = np.inf
            picked = np.argpartition(order, n_found - 1, axis=1)[:, :n_found]
            taken = np.isinf(np.take_along_axis(order, picked, axis=1))
            rows.append(np.where(taken, -1, picked))
        found = np.concatenate(rows)
        return np.pad(found, ((0, 0), (0, n - n_found)), constant_values=-1)

    def known(self, users: IntArray) -> IntArray:
        """(row, item) of every known item, shape (k, 2), where row is the place in `users`."""
        counts = self.items - self._free[users]
        rows = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys = self._keys[np.repeat(self._start[users], counts) + within]
        return np.stack([rows, keys % self.items], axis=1)
