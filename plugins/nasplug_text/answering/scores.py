"""How right an answer is: exact match and F1, as SQuAD's evaluation script v1.1 has them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence


def normalised(text: str) -> str:
    """In lower case, without punctuation and the articles a, an, the, with single spaces."""
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def exact_match(answer: str, truth: str) -> float:
    """1 if both are the same, normalised, else 0."""
    return float(normalised(answer) == normalised(truth))


def f1(answer: str, truth: str) -> float:
    """The harmonic mean of precision and recall of the words of `answer`, normalised; 0 to 1."""
    given, wanted = normalised(answer).split(), normalised(truth).split()
    common = sum((Counter(given) & Counter(wanted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def percent(
    score: Callable[[str, str], float], answers: Sequence[str], truths: Sequence[Sequence[str]]
) -> float:
    """The mean, in percent, of the best `score` of each answer with any of its truths."""
    pairs = zip(answers, truths, strict=True)
    return 100 * sum(max(score(a, t) for t in all_) for a, all_ in pairs) / len(answers)
