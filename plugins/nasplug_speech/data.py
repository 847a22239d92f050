"""The data of the task `speech`: recordings by split, or sequences made of them, and their features."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import final

import numpy as np
import torch

from nasplug import NasplugError
from nasplug.contracts.fingerprint import fingerprint
from nasplug.contracts.types import IntArray
from nasplug_speech.connected import Connected
from nasplug_speech.features import LogMel
from nasplug_speech.generated import generate
from nasplug_speech.reading import Corpus, read_labels, read_transcripts
from nasplug_speech.recordings import Recorded, Utterances

log = logging.getLogger(__name__)

KEPT = 2**30
"""Bytes of features, of all recordings of a split, up to which they are kept in memory."""
FIXED = {"validation": 1, "test": 2}
"""Seeds of the sequences that are always the same."""


@final
class Featured:
    """Recordings with their features, which are kept where they are few enough and `keep` is true."""

    def __init__(self, utterances: Utterances, make: LogMel, keep: bool) -> None:
        self.utterances, self.make = utterances, make
        places = range(len(utterances))
        self.frames: IntArray = np.array([make.frames(utterances.length(i)) for i in places])
        self.keep = keep and 4 * make.bands * int(self.frames.sum()) <= KEPT
        self._kept: dict[int, torch.Tensor] = {}

    def __call__(self, place: int) -> torch.Tensor:
        """Features of one, (frames, bands)."""
        if place in self._kept:
            return self._kept[place]
        found = self.make(self.utterances.samples(place))
        if self.keep:
            self._kept[place] = found
        return found

    def answers(self) -> list[str]:
        """What is said in each, or its label."""
        return [self.utterances.answer(place) for place in range(len(self.frames))]


@final
class SpeechData:
    """Splits of `path`, or generated ones.

    Args:
        path: As in `read_transcripts` and `read_labels`; None: generated syllables.
        labels: Recordings have labels, not transcripts.
        connected: Sequences of 1 to so many recordings with labels are made; None: none.
        sequences, fixed_sequences: Of an epoch, and to validate and to test.
        held_out, sample_rate, mels, window, hop, seed: As in `Speech`.
    """

    def __init__(
        self,
        path: str | None,
        labels: bool,
        connected: int | None,
        sequences: int,
        fixed_sequences: int,
        held_out: int,
        sample_rate: int | None,
        mels: int,
        window: float,
        hop: float,
        seed: int,
    ) -> None:
        self.path, self.connected = path, connected
        self.sequences, self.fixed_sequences, self.seed = sequences, fixed_sequences, seed
        self.corpus: Corpus
        if path is None:
            self.corpus = generate(seed)
        elif labels or connected is not None:
            self.corpus = read_labels(path, held_out)
        else:
            self.corpus = read_transcripts(path, held_out)
        self.rate = sample_rate or self._common_rate()
        self.make = LogMel(self.rate, mels, window, hop)
        self.recorded = {s: Recorded(part, self.rate) for s, part in self.corpus.items()}
        self._tell()

    def _common_rate(self) -> int:
        """That of most training recordings."""
        rates = Counter(rate for _, rate in Recorded(self.corpus["train"], 1).headers)
        return rates.most_common(1)[0][0]

    def _tell(self) -> None:
        counts = ", ".join(f"{len(part)} {split}" for split, part in self.recorded.items())
        name = "generated syllables" if self.path is None else self.path
        log.info("%s: %s recordings, at %d samples a second", name, counts, self.rate)
        others = sorted({r for part in self.recorded.values() for r in part.other_rates()})
        if others:
            rates = ", ".join(map(str, others))
            log.warning("recordings of %s samples a second are resampled to %d", rates, self.rate)

    def train(self, seed: int, epoch: int) -> Featured:
        """What an epoch trains on: the recordings, or new sequences of them."""
        if self.connected is None:
            return self._recordings
        drawn = (self.sequences, [self.seed, 0, seed, epoch])
        made = Connected(self.recorded["train"], self.connected, *drawn)
        return Featured(made, self.make, keep=False)

    @cached_property
    def _recordings(self) -> Featured:
        return Featured(self.recorded["train"], self.make, keep=True)

    @cached_property
    def fixed(self) -> Mapping[str, Featured]:
        """What validates, and what tests if there is such."""
        found: dict[str, Featured] = {}
        for split, number in FIXED.items():
            if split in self.recorded:
                part: Utterances = self.recorded[split]
                if self.connected is not None:
                    drawn = (self.fixed_sequences, [self.seed, number])
                    part = Connected(self.recorded[split], self.connected, *drawn)
                found[split] = Featured(part, self.make, keep=True)
        return found

    def answers(self) -> Iterable[str]:
        """Those of the training recordings."""
        return [recording.answer for recording in self.corpus["train"]]

    def fingerprint(self) -> str:
        """A hash of names, answers, sizes and times of all recordings, and what is made of them."""
        made = (self.connected, self.sequences, self.fixed_sequences, self.rate, self.seed)
        recordings = [
            (split, r.name, r.answer, r.speaker, r.stamp)
            for split, part in self.corpus.items()
            for r in part
        ]
        return fingerprint(repr(made), recordings)


def check(path: str | None, labels: bool, connected: int | None) -> int | None:
    """How many recordings a sequence has at most; None: recordings are as they are."""
    if labels and connected is not None:
        raise NasplugError(
            "connected makes transcripts, but answers is labels; type task.answers=transcripts, or "
            "task.connected=null"
        )
    if path is None and not labels and connected is None:
        return 5
    return connected
