"""A generated set of sentence pairs with labels, so that nothing must be downloaded to try the task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from num2words import CONVERTER_CLASSES, num2words

from nasplug import NasplugError, unknown
from nasplug_text.classification.labelled import Labelled, LabelledCorpus

LABELS = ("smaller", "equal", "larger")
"""What the first number is, compared with the second."""
LANGUAGES = ("en", "fr", "de", "es", "it", "pt", "nl")
LIMIT = 1000
"""Numbers are below it."""
MOST = 20_000
"""Training pairs: of more, those of equal numbers would be seen in each combination of languages."""


def generate(pairs: int, languages: Sequence[str], seed: int) -> LabelledCorpus:
    """`pairs` training pairs, and a sixteenth as many for validation and for test.

    A pair is two numbers below a thousand in words, each in one of `languages`: `seven hundred two`,
    `sept cent vingt`. The label says whether the first is smaller, equal or larger, a third each;
    half of those that differ do so in one digit. No pair of texts is in two of the three sets.
    Nothing in it is real text.
    """
    if not languages or len(set(languages)) < len(languages):
        raise NasplugError(f"languages must name each language once, but got {list(languages)}")
    for language in languages:
        if language not in LANGUAGES or language not in CONVERTER_CLASSES:
            raise unknown("language of the generated data", language, LANGUAGES)
    held = pairs // 16
    most = min(MOST, 2 * LIMIT * len(languages) ** 2)
    if not 48 <= pairs <= most:
        raise NasplugError(f"pairs of the generated data must be 48 to {most}, but got {pairs}")
    words = {name: _words(name) for name in languages}
    rng = np.random.default_rng(seed)
    seen: set[tuple[str, str]] = set()
    lines: list[tuple[str, str, str]] = []
    while len(lines) < pairs + 2 * held:
        label = LABELS[len(lines) % 3]
        one, other = _numbers(label, rng)
        first, second = (
            words[languages[int(rng.integers(len(languages)))]][n] for n in (one, other)
        )
        if (first, second) not in seen:
            seen.add((first, second))
            lines.append((first, second, label))
    sets = []
    for begin, end in ((0, pairs), (pairs, pairs + held), (pairs + held, len(lines))):
        texts, seconds, labels = zip(*lines[begin:end], strict=True)
        sets.append(Labelled(texts, seconds, labels))
    name = "generated: which of two numbers in words is larger, in " + ", ".join(languages)
    return LabelledCorpus(name, LABELS, *sets)


@cache
def _words(language: str) -> tuple[str, ...]:
    """Of every number."""
    return tuple(" ".join(str(num2words(n, lang=language)).split()) for n in range(LIMIT))


def _numbers(label: str, rng: np.random.Generator) -> tuple[int, int]:
    """Two numbers of which the first is what `label` says."""
    one = int(rng.integers(LIMIT))
    if label == "equal":
        return one, one
    other = one
    while other == one:
        if rng.random() < 0.5:
            place = 10 ** int(rng.integers(3))
            digit = one // place % 10
            other = one + (int(rng.integers(10)) - digit) * place
        else:
            other = int(rng.integers(LIMIT))
    low, high = sorted((one, other))
    return (low, high) if label == "smaller" else (high, low)
