"""Vocabulary: transcripts to token ids and back, of words or of characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, final

from nasplug import NasplugError
from nasplug.toolkit.sequences.tokens import SPECIAL, UNKNOWN

Units = Literal["words", "characters"]


@final
class Vocabulary:
    """`tokens` by id, the special ones first: PADDING, which is CTC's blank, BEGIN, END, UNKNOWN."""

    def __init__(self, tokens: Sequence[str], units: Units) -> None:
        self.tokens, self.units = list(tokens), units
        self._ids = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """The ids of a transcript; UNKNOWN where the training data had none."""
        parts = text.split() if self.units == "words" else text
        return [self._ids.get(part, UNKNOWN) for part in parts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; UNKNOWN is written <unk>, the other special ones are left out."""
        parts = [self.tokens[i] for i in ids if i >= UNKNOWN]
        return " ".join((" " if self.units == "words" else "").join(parts).split())

    @classmethod
    def from_tokens(cls, tokens: Any, units: Any) -> Vocabulary:
        """What an export kept; NasplugError where it is anything else."""
        fine = isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
        if not fine or tuple(tokens[: len(SPECIAL)]) != SPECIAL or len(set(tokens)) < len(tokens):
            raise NasplugError(
                f"a vocabulary must be a list of distinct tokens that begins with {' '.join(SPECIAL)}"
            )
        if units not in ("words", "characters"):
            raise NasplugError(
                f"units of a vocabulary must be words or characters, but got {units!r}"
            )
        return cls(tokens, units)


def learn(texts: Iterable[str], units: Units) -> Vocabulary:
    """All words, or characters, of `texts`, sorted."""
    parts = {part for text in texts for part in (text.split() if units == "words" else text)}
    return Vocabulary([*SPECIAL, *sorted(parts - set(SPECIAL))], units)
