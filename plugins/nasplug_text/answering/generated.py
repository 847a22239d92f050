"""Generated questions about texts, so that nothing must be downloaded to try the task."""

from __future__ import annotations

from functools import cache

import numpy as np
from num2words import num2words

from nasplug import NasplugError
from nasplug_text.answering.questions import Question, Questions

NAMES = ("anna", "ben", "clara", "david", "emma", "felix", "greta", "hugo")
THINGS = ("apples", "books", "coins", "stamps", "shells", "pens")
LIMIT = 1000
"""Numbers are below it."""


def generate(questions: int, seed: int) -> Questions:
    """`questions` training questions, and a sixteenth as many for validation and for test.

    Each text tells of two people how many they have of two things, in English number words; the
    question asks for one of the four: `ben has forty-one coins . anna has ..`, `how many coins does
    ben have ?`. The answer is a number as it stands in the text. Nothing in it is real text.
    """
    if questions < 48:
        raise NasplugError(
            f"questions of the generated data must be at least 48, but got {questions}"
        )
    rng, held = np.random.default_rng(seed), questions // 16
    made = [_question(rng) for _ in range(questions + 2 * held)]
    return Questions(
        "generated: how many things people have",
        made[:questions],
        made[questions : questions + held],
        made[questions + held :],
    )


def _question(rng: np.random.Generator) -> Question:
    people = [NAMES[i] for i in rng.permutation(len(NAMES))[:2]]
    things = [THINGS[i] for i in rng.permutation(len(THINGS))[:2]]
    facts = [(person, thing) for person in people for thing in things]
    asked, text, answer, start = int(rng.integers(4)), "", "", 0
    for place in rng.permutation(4).tolist():
        person, thing = facts[place]
        number, before = _words()[int(rng.integers(LIMIT))], f"{text}{person} has "
        if place == asked:
            answer, start = number, len(before)
        text = f"{before}{number} {thing} . "
    person, thing = facts[asked]
    return Question(f"how many {thing} does {person} have ?", text.rstrip(), (answer,), (start,))


@cache
def _words() -> tuple[str, ...]:
    return tuple(num2words(n) for n in range(LIMIT))
