"""Sentence pairs, plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pairs:
    """Sentences, and the translation of each at the same place."""

    source: Sequence[str]
    target: Sequence[str]

    def __len__(self) -> int:
        return len(self.source)

    def first(self, count: int | None) -> Pairs:
        """The first `count` of them; None: all."""
        return Pairs(self.source[:count], self.target[:count])

    def lowered(self) -> Pairs:
        """In lower case."""
        return Pairs([s.lower() for s in self.source], [t.lower() for t in self.target])


@dataclass(frozen=True)
class Corpus:
    """What is learnt from, what a search measures on, and what it never sees, if there is such."""

    name: str
    train: Pairs
    validation: Pairs
    test: Pairs | None
