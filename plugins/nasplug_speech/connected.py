"""Sequences made of single recordings: connected words of one speaker, with gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from nasplug_speech.recordings import Recorded
from nasplug_speech.wav import Samples

GAPS = (0.02, 0.2)
"""Seconds between two recordings, and before the first and after the last: the shortest, the longest."""
NOISE = 0.003
"""Standard deviation of the noise that is added, as a share of the sequence's root mean square."""


@final
class Connected:
    """`count` sequences of 1 to `most` recordings of one speaker each, drawn uniformly.

    Gaps are uniform in `GAPS`; faint white noise covers all, so that no gap is digital silence. What
    is drawn follows from `seed`.
    """

    def __init__(self, single: Recorded, most: int, count: int, seed: Sequence[int]) -> None:
        self.single, self.seed = single, list(seed)
        rng = np.random.default_rng(self.seed)
        speakers: dict[str, list[int]] = {}
        for place, recording in enumerate(single.recordings):
            speakers.setdefault(recording.speaker, []).append(place)
        names = sorted(speakers)
        self.members: list[list[int]] = []
        self.gaps: list[list[int]] = []
        for _ in range(count):
            own = speakers[names[int(rng.integers(len(names)))]]
            many = int(rng.integers(1, most + 1))
            self.members.append([own[i] for i in rng.integers(0, len(own), many)])
            gaps = rng.uniform(*GAPS, many + 1) * single.rate
            self.gaps.append(gaps.astype(int).tolist())

    def __len__(self) -> int:
        return len(self.members)

    def length(self, place: int) -> int:
        """Samples of one sequence."""
        parts = sum(self.single.length(member) for member in self.members[place])
        return parts + sum(self.gaps[place])

    def samples(self, place: int) -> Samples:
        """Gap, recording, gap, .., gap, with noise."""
        first, *gaps = self.gaps[place]
        parts = [np.zeros(first, np.float32)]
        for member, gap in zip(self.members[place], gaps, strict=True):
            parts += [self.single.samples(member), np.zeros(gap, np.float32)]
        whole = np.concatenate(parts)
        noise = np.random.default_rng([*self.seed, place]).standard_normal(len(whole), np.float32)
        scale = NOISE * float(np.sqrt(np.mean(whole**2)))
        return np.asarray(whole + np.float32(scale) * noise, np.float32)

    def answer(self, place: int) -> str:
        """What the recordings say, with blanks between them."""
        return " ".join(self.single.answer(member) for member in self.members[place])
