"""Questions about texts, plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, the text that it is about, and its answers, each with the character where it begins
    in the text; the first is what is learnt."""

    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Questions:
    """What is learnt from, what a search measures on, and what it never sees, if there is such."""

    name: str
    train: Sequence[Question]
    validation: Sequence[Question]
    test: Sequence[Question] | None
