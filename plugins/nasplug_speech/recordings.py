"""Recordings: what was said, by whom, and the samples, which are read when they are needed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol, final

from nasplug_speech.wav import Samples, encoded, header, read, resampled, resampled_length


class Utterances(Protocol):
    """What features are made of: samples and answers by place."""

    def __len__(self) -> int: ...

    def length(self, place: int) -> int:
        """Samples of one."""

    def samples(self, place: int) -> Samples:
        """Those of one, (length(place),)."""

    def answer(self, place: int) -> str:
        """What is said there, or its label."""


@final
@dataclass(frozen=True)
class Recording:
    """One wav file.

    name: for errors, and unique. answer: the transcript, or the label. speaker: "" where it is not
    told. stamp: changes where the content does. opened: gives the file.
    """

    name: str
    answer: str
    speaker: str
    stamp: str
    opened: Callable[[], BinaryIO]


@final
class Recorded:
    """Recordings of a split, all at one rate."""

    def __init__(self, recordings: Sequence[Recording], rate: int) -> None:
        self.recordings, self.rate = list(recordings), rate
        self.headers = [header(r.opened, r.name) for r in self.recordings]

    def __len__(self) -> int:
        return len(self.recordings)

    def length(self, place: int) -> int:
        """Samples of one, at the common rate."""
        return resampled_length(*self.headers[place], self.rate)

    def samples(self, place: int) -> Samples:
        """Those of one, resampled where its rate is another."""
        recording = self.recordings[place]
        samples, rate = read(recording.opened, recording.name)
        return resampled(samples, rate, self.rate)

    def answer(self, place: int) -> str:
        """What is said there, or its label."""
        return self.recordings[place].answer

    def other_rates(self) -> list[int]:
        """Rates that had to be changed."""
        return sorted({rate for _, rate in self.headers} - {self.rate})


def in_memory(name: str, answer: str, speaker: str, samples: Samples, rate: int) -> Recording:
    """A recording that no file has."""
    return Recording(name, answer, speaker, name, partial(io.BytesIO, encoded(samples, rate)))
