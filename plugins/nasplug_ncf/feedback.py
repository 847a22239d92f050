"""Feedback: who interacted with what, split for leave-one-out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from nasplug import NasplugError
from nasplug.contracts.types import IntArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feedback:
    """Implicit feedback: interactions to learn from, and held-out ones to rank.

    train: distinct (user, item) pairs, shape (n, 2); test: held-out pairs, shape (m, 2), none of
    them in `train`; negatives: the candidates that each held-out item is ranked among, shape
    (m, c), -1 where there is none, or None where they are still to be drawn. validation: pairs of
    `train` to look at instead while networks are compared, shape (k, 2), or None where any will do.
    """

    name: str
    users: int
    items: int
    train: IntArray
    test: IntArray
    negatives: IntArray | None = None
    validation: IntArray | None = None

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
    The interaction before the held-out one, of users with three or more, is what to validate on.
    """
    order = np.arange(len(user)) if time is None else np.argsort(time, kind="stable")
    users, items = int(user.max()) + 1, int(item.max()) + 1
    key = (user * items + item)[order]
    _, latest = np.unique(key[::-1], return_index=True)
    key = key[np.sort(len(key) - 1 - latest)]
    if len(key) < len(user):
        log.warning("%s: %d repeated interactions count once", name, len(user) - len(key))
    owner = key // items
    left = np.bincount(owner)[owner] - _place(owner)  # of its user's, this one and those after it
    several = np.bincount(owner)[owner] > np.array([[1], [2]])
    held, before = (left == np.array([[1], [2]])) & several
    pairs = np.stack([owner, key % items], axis=1)
    feedback = split(name, users, items, pairs[~held], pairs[held])
    return replace(feedback, validation=pairs[before])


def _place(owner: IntArray) -> IntArray:
    """How many entries before each one are the same user's, shape (n,)."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    place = np.empty(len(owner), np.int64)
    place[order] = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place


def set_aside(feedback: Feedback, seed: int) -> tuple[IntArray, IntArray]:
    """Training pairs, and one pair a user that is validated on and not trained on.

    That is `feedback.validation`, or else drawn at random, as He et al. (2017, section 4.1) do it. A user
    keeps one training interaction at least.
    """
    train, chosen = feedback.train, feedback.validation
    if chosen is None:
        order = np.random.default_rng([seed, 1]).permutation(len(train))
        _, first = np.unique(train[order, 0], return_index=True)
        chosen = train[order[first]]
        chosen = chosen[np.bincount(train[:, 0])[chosen[:, 0]] > 1]
    if not len(chosen):
        raise NasplugError(
            f"a user of {feedback.name} must have two training interactions, of which one validates, but "
            "none has; look at the test data instead: task.validation=test"
        )
    key = train[:, 0] * feedback.items + train[:, 1]
    aside = np.isin(key, chosen[:, 0] * feedback.items + chosen[:, 1])
    return train[~aside], chosen
