"""A generated set of sentence pairs, so that nothing must be downloaded to try translation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from num2words import CONVERTER_CLASSES, num2words

from nasplug import NasplugError, unknown
from nasplug_text.pairs import Corpus, Pairs

LANGUAGES = ("en", "fr", "es", "pl", "ro", "id", "cs", "pt")
"""Languages that write numbers in words between which there are spaces, in the order of their use."""
KINDS = ("cardinal", "ordinal")
LARGEST = 10**6
EACH = 4
"""Languages into which a training number is translated."""
HELD_OUT = 600


def generate(pairs: int, languages: Sequence[str], seed: int) -> Corpus:
    """`pairs` training pairs, and at most 600 validation and 600 test pairs, a twentieth each.

    A source is a number below a million in German words, cardinal or ordinal, before which stands
    the target's language: `<fr> zweihundertdrei`, to `deux cent trois`. Numbers are log-uniform, so
    that short and long ones are equally many. A training number is translated into four of the
    languages, another into one; no two of the three sets share a number. Nothing in it is real text.
    """
    if not languages or len(set(languages)) < len(languages):
        raise NasplugError(
            f"languages must name each target language once, but got {list(languages)}"
        )
    for language in languages:
        if language not in LANGUAGES:
            raise unknown("language of the generated data", language, LANGUAGES)
    held, each = max(1, min(HELD_OUT, pairs // 20)), min(EACH, len(languages))
    trained = -(-pairs // each)
    if pairs < 20 or trained > LARGEST // 4:
        most = LARGEST // 4 * each
        raise NasplugError(f"pairs of the generated data must be 20 to {most}, but got {pairs}")
    draws = _numbers(trained + 2 * held, np.random.default_rng(seed))
    cut = (trained, trained + held, trained + 2 * held)
    return Corpus(
        "generated: German number words into " + ", ".join(languages),
        _translated(draws[: cut[0]], languages, each, pairs),
        _translated(draws[cut[0] : cut[1]], languages, 1, held),
        _translated(draws[cut[1] : cut[2]], languages, 1, held),
    )


def _numbers(count: int, rng: np.random.Generator) -> list[tuple[int, str]]:
    """Distinct numbers, each with its kind."""
    found: dict[int, str] = {}
    while len(found) < count:
        for x, kind in zip(
            rng.uniform(0, np.log(LARGEST), count), rng.integers(0, 2, count), strict=True
        ):
            found.setdefault(int(np.exp(x)), KINDS[kind])
    return list(found.items())[:count]


def _translated(
    draws: Sequence[tuple[int, str]], languages: Sequence[str], each: int, count: int
) -> Pairs:
    """The first `count` pairs: every number in the next `each` languages, in turn."""
    write = {language: _writer(language) for language in languages}

    def lines() -> Iterator[tuple[str, str]]:
        place = 0
        for number, kind in draws:
            german = german_words(number, kind)
            for language in (languages[(place + i) % len(languages)] for i in range(each)):
                yield f"<{language}> {german}", write[language](number, kind)
            place += each

    source, target = zip(
        *(pair for pair, _ in zip(lines(), range(count), strict=False)), strict=True
    )
    return Pairs(source, target)


def german_words(number: int, kind: str) -> str:
    """What num2words writes, put together from thousands and rest, which it was asked before."""
    rest = number % 1000
    if kind == "ordinal" and rest in (0, 100):  # hundertste alone, but ..tausendeinhundertste
        return _german(number, kind)
    thousands = _german(number - rest, "cardinal") if number >= 1000 else ""
    return thousands + (_german(rest, kind) if rest or not thousands else "")


@cache
def _german(number: int, kind: str) -> str:
    return str(num2words(number, lang="de", to=kind))


def _writer(language: str) -> Callable[[int, str], str]:
    """Numbers in words; where the library has no ordinals in a language, cardinals."""
    known: Any = CONVERTER_CLASSES
    name = language if language in known else {"cs": "cz"}.get(language, language)

    def write(number: int, kind: str) -> str:
        try:
            text = num2words(number, lang=name, to=kind)
        except NotImplementedError:
            text = num2words(number, lang=name)
        return " ".join(str(text).split())

    return write
