"""What was heard against what was said: greedy CTC decoding, and the word error rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nasplug.toolkit.sequences.tokens import BEGIN, END, PADDING

BLANK = PADDING
"""What a frame says that says no token."""


def ctc_greedy(logits: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    """The tokens of the likeliest path of each recording: repeats are one, then blanks go.

    logits: (n, t, V); lengths: frames of each, (n,). Graves et al., Connectionist Temporal
    Classification, ICML 2006, best path decoding. BEGIN and END are never said.
    """
    scores = logits.clone()
    scores[..., BEGIN] = scores[..., END] = float("-inf")
    found = []
    for path, length in zip(scores.argmax(-1).cpu(), lengths.tolist(), strict=True):
        merged = torch.unique_consecutive(path[:length]).tolist()
        found.append([token for token in merged if token != BLANK])
    return found


def edit_distance(one: Sequence[object], other: Sequence[object]) -> int:
    """The fewest insertions, deletions and substitutions that make `one` to `other` (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right)),
            )
    return row[-1]


def word_error_rate(heard: Sequence[str], said: Sequence[str]) -> float:
    """Edits of words per 100 words said, of all recordings together: %, above 100 where more is
    heard than was said."""
    pairs = [(a.split(), b.split()) for a, b in zip(heard, said, strict=True)]
    words = sum(len(b) for _, b in pairs)
    return 100 * sum(edit_distance(a, b) for a, b in pairs) / words
