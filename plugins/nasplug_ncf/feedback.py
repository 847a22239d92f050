"""Feedback: who interacted with what, split for leave-one-out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import IntArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feedback:
    """Implicit feedback: interactions to learn from, and held-out ones to rank.

    train: distinct (user, item) pairs, shape (n, 2); test: held-out pairs, shape (m, 2), none of
    them in `train`; negatives: the candidates that each held-out item is ranked among, shape
    (m, c), -1 where there is none, or None where they are still to be drawn.
    """

    name: str
    users: int
    items: int
    train: IntArray
    test: IntArray
    negatives: IntArray | None = None

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.users} users, {self.items} items, {len(self.train)} training "
            f"interactions, {len(self.test)} held out"
        )


def split(
    name: str,
    users: int,
    items: int,
    train: IntArray,
    test: IntArray,
    negatives: IntArray | None = None,
) -> Feedback:
    """Feedback of raw pairs: repeated training pairs count once, held-out ones not at all.

    A candidate that is the held-out item itself does not count against it (published files hold
    such; the authors' own evaluation merges the two). What was left out, and what training never
    shows, is logged.
    """
    if not len(train) or not len(test):
        raise NasplugError(
            f"{name} must hold training and held-out interactions, but got {len(train)} and "
            f"{len(test)}; a user needs two or more for one to be held out"
        )
    keys, held = np.unique(train[:, 0] * items + train[:, 1]), test[:, 0] * items + test[:, 1]
    leaked = np.isin(keys, held)
    kept = keys[~leaked]
    if not len(kept):
        raise NasplugError(f"{name} must hold training interactions other than the held-out ones")
    pairs = np.stack([kept // items, kept % items], axis=1)
    remarks = {
        "repeated training interactions count once": len(train) - len(keys),
        "held-out interactions were left out of training": int(leaked.sum()),
        "held-out users have no training interaction": _strangers(test[:, 0], pairs[:, 0]),
        "held-out items have no training interaction": _strangers(test[:, 1], pairs[:, 1]),
    }
    if negatives is not None:
        itself = negatives == test[:, 1:]
        negatives = np.where(itself, -1, negatives)
        remarks["candidates are the held-out item itself and do not count"] = int(itself.sum())
    for remark, count in remarks.items():
        if count:
            log.warning("%s: %d %s", name, count, remark)
    return Feedback(name, users, items, pairs, test, negatives)


def _strangers(held: IntArray, trained: IntArray) -> int:
    return int((~np.isin(held, trained)).sum())


def leave_one_out(name: str, user: IntArray, item: IntArray, time: IntArray | None) -> Feedback:
    """Holds out each user's latest interaction; without times, the one that stands last.

    user, item: indices from 0 up, shape (n,); time: anything that sorts, shape (n,), equal times in
    the order they stand. Of a repeated pair the latest counts. Users with one interaction train only.
    """
    order = np.arange(len(user)) if time is None else np.argsort(time, kind="stable")
    users, items = int(user.max()) + 1, int(item.max()) + 1
    key = (user * items + item)[order]
    _, latest = np.unique(key[::-1], return_index=True)
    key = key[np.sort(len(key) - 1 - latest)]
    if len(key) < len(user):
        log.warning("%s: %d repeated interactions count once", name, len(user) - len(key))
    owner = key // items
    _, last = np.unique(owner[::-1], return_index=True)
    last = len(key) - 1 - last
    last = last[np.bincount(owner)[owner[last]] > 1]
    held = np.zeros(len(key), bool)
    held[last] = True
    pairs = np.stack([owner, key % items], axis=1)
    return split(name, users, items, pairs[~held], pairs[held])
