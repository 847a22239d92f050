"""Texts with labels, plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasplug.contracts.types import IntArray


@dataclass(frozen=True)
class Labelled:
    """Texts, the second text of each where they are pairs, and the label of each."""

    texts: Sequence[str]
    seconds: Sequence[str] | None
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, rows: IntArray) -> Labelled:
        """Those at `rows`."""
        places = rows.tolist()
        seconds = None if self.seconds is None else [self.seconds[i] for i in places]
        return Labelled([self.texts[i] for i in places], seconds, [self.labels[i] for i in places])

    def parted(self, share: float) -> tuple[Labelled, Labelled]:
        """Those that stay, and `share` of each class that is set aside, always the same; the order is
        kept. Of a class of one text none is set aside, of others at least one."""
        rng, names = np.random.default_rng(0), np.array(self.labels)
        aside = np.zeros(len(names), bool)
        for label in sorted(set(self.labels)):
            places = rng.permutation(np.flatnonzero(names == label))
            count = max(1, round(share * len(places))) if len(places) > 1 else 0
            aside[places[:count]] = True
        return self.at(np.flatnonzero(~aside)), self.at(np.flatnonzero(aside))


@dataclass(frozen=True)
class LabelledCorpus:
    """What is learnt from, what a search measures on, and what it never sees, if there is such."""

    name: str
    labels: tuple[str, ...]
    """The classes, in the order of a network's outputs."""
    train: Labelled
    validation: Labelled
    test: Labelled | None
