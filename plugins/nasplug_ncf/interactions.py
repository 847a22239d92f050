"""The task `interactions`: recommend to each user the item that was held out."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug import Metric, NasplugError, NonNegativeInt, PositiveInt, Range, Task
from nasplug.contracts.fingerprint import fingerprint
from nasplug.contracts.types import BoolArray, FloatArray, IntArray
from nasplug_ncf.feedback import Feedback, set_aside, split
from nasplug_ncf.generated import INTERACTIONS, ITEMS, USERS, generate
from nasplug_ncf.ranking import hit_rate, ndcg, ranks
from nasplug_ncf.reading import read
from nasplug_ncf.sampling import NegativeSampler

log = logging.getLogger(__name__)

Batch = tuple[Any, ...]
SCORED = 2**16
"""Pairs that evaluation scores at once."""


class Interactions(Task):
    """Implicit feedback with leave-one-out ranking (He et al. 2017, section 4.1).

    Networks take (users, items), indices of shape (b,), and return logits, shape (b,). Training
    pairs each interaction with sampled items that the user has no training interaction with; what
    is held out may be among them, as in the authors' code, since training does not know it. Quality
    is HR@10 and NDCG@10 of the held-out item among its candidates, ties against the network.

    path: files (see `nasplug_ncf.reading.read`); None: the generated set of `users`, `items` and
    `interactions`. negatives: sampled for each interaction. candidates: "sampled" ranks the held-out
    item among those of the files or else `sampled` drawn ones, "full" among all items that the user
    did not train on. data_seed: of the generated set and drawn candidates; apart from the run's, so
    that runs of many seeds share their data. validation: "held_out_from_training" lets searches look at
    one training interaction a user, which is then not trained on, and keeps the held-out item to test;
    "test" is the published protocol, in which searches look at the held-out item itself, and nothing is
    left to test.
    """

    metrics: Mapping[str, Metric] = {
        "hr10": Metric("fraction", "maximize"),
        "ndcg10": Metric("fraction", "maximize"),
    }

    def __init__(
        self,
        path: str | None = None,
        users: PositiveInt = USERS,
        items: Annotated[int, Range(ge=2)] = ITEMS,
        interactions: Annotated[int, Range(ge=2)] = INTERACTIONS,
        negatives: NonNegativeInt = 4,
        candidates: Literal["sampled", "full"] = "sampled",
        sampled: PositiveInt = 99,
        data_seed: NonNegativeInt = 0,
        validation: Literal["held_out_from_training", "test"] = "held_out_from_training",
    ) -> None:
        if negatives < 0 or sampled < 1:
            raise NasplugError(
                f"`negatives >= 0` and `sampled >= 1` must hold, but got {negatives} and {sampled}"
            )
        self.path = path
        self.users = users
        self.items = items
        self.interactions = interactions
        self.negatives = negatives
        self.candidates = candidates
        self.sampled = sampled
        self.data_seed = data_seed
        self.validation = validation

    @cached_property
    def feedback(self) -> Feedback:
        """The data, read or generated when first asked for."""
        if self.path is not None:
            feedback = read(self.path)
        else:
            sizes = self.users, self.items
            name = "generated set (no real data)"
            pairs = generate(*sizes, self.interactions, self.data_seed)
            feedback = split(name, *sizes, *pairs)
        log.info("%s", feedback)
        return feedback

    @cached_property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """Users and items: the rows of a network's tables. With a path, its files are read."""
        source = self if self.path is None else self.feedback
        return {"users": source.users, "items": source.items}

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Every interaction once, each with its own new negatives: (users, items, labels).

        A batch holds at most `batch_size` pairs, but at least one interaction with its negatives.
        """
        rng = np.random.default_rng([seed, epoch])
        train = self._parts[0]
        order = rng.permutation(len(train))
        size = max(1, batch_size // (1 + self.negatives))
        for start in range(0, len(order), size):
            user, liked = train[order[start : start + size]].T
            users = np.tile(user, 1 + self.negatives)
            labels = np.zeros(len(users), np.float32)
            labels[: len(user)] = 1
            items = np.concatenate([liked, self._trained.draw(users[len(user) :], rng)])
            yield torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(labels)

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """Batches that hold every interaction once."""
        return -(-len(self._parts[0]) // max(1, batch_size // (1 + self.negatives)))

    def data_fingerprint(self) -> str:
        """A hash of the interactions and candidates, as they were read or generated."""
        data = self.feedback
        seen = self._parts[1]
        return fingerprint(data.users, data.items, data.train, data.test, data.negatives, seen)

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Binary cross-entropy of the logits, shape (b,)."""
        return functional.binary_cross_entropy_with_logits(outputs, batch[-1])

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """Binary cross-entropy against the teacher's probabilities."""
        return functional.binary_cross_entropy_with_logits(outputs, teacher.sigmoid())

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """HR@10 and NDCG@10 over the interactions that searches look at, see `validation`."""
        train, held = self._parts
        return self._measured(model, train, held, self._validation_candidates)

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """HR@10 and NDCG@10 over all held-out interactions; nothing where searches looked at them."""
        if self.validation == "test":
            return {}
        data = self.feedback
        found = self._measured(model, data.train, data.test, self._candidates)
        return {name: found[name] for name in found if name in metrics}

    def _measured(
        self, model: nn.Module, train: IntArray, held: IntArray, candidates: IntArray
    ) -> dict[str, float]:
        if self.candidates == "full":
            found = self._full_ranks(model, train, held)
        else:
            found = self._sampled_ranks(model, held, candidates)
        return {"hr10": hit_rate(found, 10), "ndcg10": ndcg(found, 10)}

    @cached_property
    def _parts(self) -> tuple[IntArray, IntArray]:
        """The pairs that are trained on, and those that searches look at."""
        if self.validation == "test":
            return self.feedback.train, self.feedback.test
        train, held = set_aside(self.feedback, self.data_seed)
        log.info(
            "%d training interactions are set aside to validate; the held-out ones test (task.validation)",
            len(held),
        )
        return train, held

    # ---- candidates ----------------------------------------------------------------------------

    @cached_property
    def _trained(self) -> NegativeSampler:
        """Knows the pairs that are trained on alone."""
        return NegativeSampler(self._parts[0], self.feedback.users, self.feedback.items)

    @cached_property
    def _interacted(self) -> NegativeSampler:
        """Knows every pair, held-out ones too: a candidate is none of them."""
        data = self.feedback
        return NegativeSampler(np.concatenate([data.train, data.test]), data.users, data.items)

    @cached_property
    def _candidates(self) -> IntArray:
        """Of each held-out item, shape (m, c); -1 where there is none."""
        if self.feedback.negatives is not None:
            return self.feedback.negatives
        rng = np.random.default_rng(self.data_seed)
        return self._interacted.distinct(self.feedback.test[:, 0], self.sampled, rng)

    @cached_property
    def _validation_candidates(self) -> IntArray:
        """The same for the pairs that searches look at."""
        if self.validation == "test":
            return self._candidates
        rng = np.random.default_rng([self.data_seed, 2])
        return self._interacted.distinct(self._parts[1][:, 0], self.sampled, rng)

    def _sampled_ranks(self, model: nn.Module, held: IntArray, candidates: IntArray) -> IntArray:
        user, item = held.T
        items = np.concatenate([item[:, None], candidates], axis=1)
        users = np.repeat(user, items.shape[1])
        scores = _scores(model, users, items.ravel().clip(min=0)).reshape(items.shape)
        return ranks(scores[:, 0], scores[:, 1:], items[:, 1:] >= 0)

    def _full_ranks(self, model: nn.Module, train: IntArray, held: IntArray) -> IntArray:
        data = self.feedback
        trained = NegativeSampler(train, data.users, data.items)
        found = []
        for block in np.array_split(held, -(-len(held) * data.items // 2**22)):
            user, item = block.T
            users = np.repeat(user, data.items)
            items = np.tile(np.arange(data.items), len(block))
            scores = _scores(model, users, items).reshape(len(block), data.items)
            counted: BoolArray = np.ones(scores.shape, bool)
            counted[tuple(trained.known(user).T)] = False
            counted[np.arange(len(block)), item] = False
            found.append(ranks(scores[np.arange(len(block)), item], scores, counted))
        return np.concatenate(found)


def _scores(model: nn.Module, users: IntArray, items: IntArray) -> FloatArray:
    """The logits of pairs, shape (n,)."""
    device = next(model.parameters()).device
    out = []
    with torch.no_grad():
        for start in range(0, len(users), SCORED):
            part = slice(start, start + SCORED)
            pair = (torch.from_numpy(a[part]).to(device) for a in (users, items))
            out.append(model(*pair).cpu())
    scores: FloatArray = torch.cat(out).double().numpy()
    return scores
