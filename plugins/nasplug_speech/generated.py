"""Generated syllables, so that nothing must be downloaded to try speech: formants of a made voice."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nasplug_speech.recordings import Recording, in_memory
from nasplug_speech.wav import Samples

VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
"""The first three formants of men, Hz: Peterson and Barney, Control methods used in a study of the
vowels, 1952."""
CONSONANTS = {"m": (250, 1000, 2200), "s": None, "d": (300, 1800, 2700)}
"""Where formants come from: of a murmur, of a plosive; None: noise before the vowel."""
SYLLABLES = tuple(c + v for c in CONSONANTS for v in VOWELS)
SPEAKERS, EACH, HELD = 8, 12, 2
"""Voices; recordings of each syllable by each; how many of them validate, and as many test."""
BANDWIDTHS = (80.0, 110.0, 160.0)
RATE = 8000


@lru_cache(maxsize=2)
def generate(seed: int) -> dict[str, list[Recording]]:
    """Recordings by split: 15 syllables of 8 voices, 12 each, of which 8 train, 2 validate, 2 test.

    Nothing in it is real speech: voices are sums of harmonics under three formants, which move from
    the consonant's to the vowel's, with noise. Every recording has its own pitch, length, formants and
    loudness.
    """
    found: dict[str, list[Recording]] = {"train": [], "validation": [], "test": []}
    for speaker in range(SPEAKERS):
        voice = np.random.default_rng([seed, speaker])
        pitch, tract = voice.uniform(90, 230), voice.uniform(0.88, 1.2)
        for number, syllable in enumerate(SYLLABLES):
            for index in range(EACH):
                rng = np.random.default_rng([seed, speaker, number, index])
                split = ("test", "validation", "train")[min(2, index // HELD)]
                name = f"{syllable}_voice{speaker}_{index}"
                samples = _spoken(syllable, pitch, tract, rng)
                found[split].append(in_memory(name, syllable, f"voice{speaker}", samples, RATE))
    return found


def _spoken(syllable: str, pitch: float, tract: float, rng: np.random.Generator) -> Samples:
    """One syllable, 0.12 to 0.3 seconds long."""
    start, target = CONSONANTS[syllable[0]], np.array(VOWELS[syllable[1]]) * tract
    target = target * rng.normal(1, 0.05, 3)
    count = int(RATE * rng.uniform(0.12, 0.24))
    time = np.arange(count) / RATE
    begin = target if start is None else np.array(start) * tract
    moved = np.clip(time / rng.uniform(0.03, 0.07), 0, 1)[:, None]
    formants = begin + (target - begin) * moved  # (samples, 3)
    tone = pitch * rng.uniform(0.9, 1.1) * (1 + rng.uniform(-0.15, 0.15) * time / time[-1])
    phase = 2 * np.pi * np.cumsum(tone) / RATE
    harmonics = np.arange(1, int(RATE / 2 / tone.max()))
    # Envelopes at 1 of 16 samples, which is fast enough for what a mouth does.
    coarse = slice(None, None, 16)
    off = harmonics[None, :, None] * tone[coarse, None, None] - formants[coarse, None, :]
    gains = ((1, 0.5, 0.25) / (1 + (off / BANDWIDTHS) ** 2)).sum(2) / harmonics**0.5
    gains = np.repeat(gains, 16, axis=0)[:count]
    voiced = (gains * np.sin(phase[:, None] * harmonics)).sum(1)
    voiced *= np.minimum(1, np.minimum(time, time[-1] - time) / 0.02)
    if start is None:
        hiss = np.diff(rng.standard_normal(int(RATE * rng.uniform(0.05, 0.1)) + 1))
        voiced = np.concatenate([hiss * 0.3 * voiced.std(), voiced])
    noise = rng.standard_normal(len(voiced)) * voiced.std() * 10 ** -rng.uniform(0.5, 1.2)
    whole = voiced + noise
    return np.asarray(whole / np.abs(whole).max() * rng.uniform(0.3, 0.9), np.float32)
