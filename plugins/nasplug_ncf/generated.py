"""A generated set of interactions, so that nothing must be downloaded to try the space."""

from __future__ import annotations

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import IntArray

USERS, ITEMS, INTERACTIONS = 600, 800, 24_000
FACTORS = 8
"""Rank of the taste that users and items are drawn from."""


def generate(users: int, items: int, interactions: int, seed: int) -> tuple[IntArray, IntArray]:
    """Training pairs, shape (interactions - users, 2), and one held-out pair a user, (users, 2).

    A latent-factor model with skewed popularity and activity: user u picks distinct items with
    log-odds 2.5 p_u.q_i / sqrt(rank) - 0.8 log(popularity rank of i), by Gumbel's top-k; how many is
    log-normal, at least two; the held-out one is any of them. Nothing in it is real.
    """
    if not (users >= 1 and 2 * users <= interactions <= users * (items // 2)):
        raise NasplugError(
            "the generated set must hold 2 to items / 2 interactions a user: 2 * users <= "
            f"interactions <= users * (items // 2), but got users={users}, items={items}, "
            f"interactions={interactions}"
        )
    rng = np.random.default_rng(seed)
    taste, kind = rng.normal(size=(users, FACTORS)), rng.normal(size=(items, FACTORS))
    popularity = -0.8 * np.log1p(rng.permutation(items))
    counts = _activity(users, items // 2, interactions, rng)
    pairs = []
    for block in np.array_split(np.arange(users), -(-users * items // 2_000_000)):
        odds = 2.5 / FACTORS**0.5 * taste[block] @ kind.T + popularity
        order = np.argsort(-(odds + rng.gumbel(size=odds.shape)), axis=1)
        chosen = np.arange(items) < counts[block, None]
        pairs.append(np.stack([np.repeat(block, counts[block]), order[chosen]], axis=1))
    drawn = np.concatenate(pairs)
    held = np.cumsum(counts) - 1 - rng.integers(0, counts)
    keep = np.ones(len(drawn), bool)
    keep[held] = False
    return drawn[keep], drawn[held]


def _activity(users: int, limit: int, total: int, rng: np.random.Generator) -> IntArray:
    """Interactions of each user: 2 to `limit`, log-normal, exactly `total` in all; shape (users,)."""
    weight = rng.lognormal(sigma=0.8, size=users)
    counts = np.full(users, 2, np.int64)
    while (left := total - int(counts.sum())) > 0:
        share = np.where(counts < limit, weight, 0.0)
        counts = np.minimum(counts + rng.multinomial(left, share / share.sum()), limit)
    return counts
