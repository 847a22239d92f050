"""Windows: questions with a part of their text each, as an encoder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from nasplug.contracts.types import IntArray
from nasplug_text.answering.questions import Question
from nasplug_text.classification.batching import TokenizedTexts
from nasplug_text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Sizes:
    """Tokens: of a window, special ones included; that successive windows of a text have in common;
    and of a question."""

    max_length: int
    overlap: int
    max_question: int


@final
class Windows:
    """The windows of some questions, those of a question one after the other.

    tokens: them as token ids. owners: the question of each, (n,). spans: for each, of every token the
    characters of the context that it is, (length, 2), -1 where it is none of the context.
    """

    def __init__(
        self, questions: Sequence[Question], tokenizer: TextTokenizer, sizes: Sizes
    ) -> None:
        pairs = [(q.question, q.context) for q in questions]
        made = tokenizer.windows(pairs, sizes.max_length, sizes.overlap, sizes.max_question)
        flat = [(i, window) for i, parts in enumerate(made) for window in parts]
        self.owners: IntArray = np.array([i for i, _ in flat], np.int64)
        self.spans = [window.spans for _, window in flat]
        self.tokens = TokenizedTexts(
            [window.ids for _, window in flat],
            [window.types for _, window in flat],
            tokenizer.padding,
        )

    def __len__(self) -> int:
        return len(self.owners)

    def targets(self, questions: Sequence[Question]) -> torch.Tensor:
        """The first and last token of each window's answer, (n, 2); 0 twice, the token before the
        question, where the window has no whole answer."""
        found = np.zeros((len(self), 2), np.int64)
        for row, (owner, spans) in enumerate(zip(self.owners.tolist(), self.spans, strict=True)):
            begin = questions[owner].starts[0]
            end = begin + len(questions[owner].answers[0])
            first = np.flatnonzero((spans[:, 0] <= begin) & (begin < spans[:, 1]))
            last = np.flatnonzero((spans[:, 0] < end) & (end <= spans[:, 1]))
            if len(first) and len(last):
                found[row] = first[0], last[-1]
        return torch.from_numpy(found)


def best_spans(
    logits: torch.Tensor, spans: Sequence[IntArray], most: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best first and last token of each window, of at most `most` tokens of its context, and its
    score, the sum of both logits; (n,) each. logits: (n, t, 2), beyond a window's length anything.

    Every pair of tokens is compared, not only those of the best 20 beginnings and ends.
    """
    n, t, _ = logits.shape
    inside = torch.zeros(n, t, dtype=torch.bool)
    for row, span in enumerate(spans):
        inside[row, : len(span)] = torch.from_numpy(span[:, 0] >= 0)
    scores = logits.float().masked_fill(~inside[..., None].to(logits.device), float("-inf"))
    band = torch.ones(t, t, dtype=torch.bool, device=logits.device).triu().tril(most - 1)
    both = scores[:, :, None, 0] + scores[:, None, :, 1]
    best, place = both.masked_fill(~band, float("-inf")).flatten(1).max(1)
    return place // t, place % t, best
