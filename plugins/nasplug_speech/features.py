"""Log-mel features of recordings, and SpecAugment."""

from __future__ import annotations

from functools import lru_cache
from typing import final

import numpy as np
import torch

from nasplug import NasplugError
from nasplug.contracts.types import FloatArray
from nasplug_speech.wav import Samples

FLOOR = 1e-5
"""Of a band's energy, as a share of the recording's mean: what is softer by 50 dB is silence."""
TINY = 1e-10


@final
class LogMel:
    """Logarithms of the energies in `bands` mel bands, `window` seconds every `hop` seconds.

    Hann windows, power spectra by torch.stft, triangles of HTK's mel scale (`mel_filters`), and
    log(e + 1e-5 mean e), whose mean over time is subtracted in each band, and which is divided by the
    standard deviation of all: features do not depend on how loud a recording is.
    """

    def __init__(self, rate: int, bands: int, window: float = 0.025, hop: float = 0.010) -> None:
        self.rate, self.bands = rate, bands
        self.window, self.hop = round(window * rate), max(1, round(hop * rate))
        size = 2 * max(self.window, 2)
        self.fft = 1 << (size - 1).bit_length()  # zero-padded, so that low bands have a frequency
        self.filters = torch.from_numpy(mel_filters(bands, self.fft, rate).astype(np.float32))
        self.shape = torch.hann_window(self.window)

    def frames(self, samples: int) -> int:
        """How many frames that many samples give."""
        return 1 + samples // self.hop

    def __call__(self, samples: Samples) -> torch.Tensor:
        """Samples (n,) to features (frames, bands), float32."""
        spectrum = torch.stft(
            torch.from_numpy(samples),
            self.fft,
            self.hop,
            self.window,
            self.shape,
            pad_mode="constant",
            return_complex=True,
        )
        energy = (spectrum.abs() ** 2).T @ self.filters
        logs = torch.log(energy + FLOOR * energy.mean() + TINY)
        logs = logs - logs.mean(0)
        return logs / (logs.std(correction=0) + 1e-5)


@lru_cache(maxsize=8)
def mel_filters(bands: int, fft: int, rate: int) -> FloatArray:
    """Weights of the `fft` // 2 + 1 frequencies in each band, (frequencies, bands).

    Triangles with peaks of 1, whose corners lie evenly from 0 to rate / 2 on the mel scale
    mel(f) = 2595 log10(1 + f / 700), as in HTK (Young et al., The HTK Book).
    """
    frequencies = np.arange(fft // 2 + 1) * rate / fft
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (frequencies[:, None] - low) / (peak - low)
    falling = (high - frequencies[:, None]) / (high - peak)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if not (filters.max(0) > 0).all():
        most = int((filters.max(0) > 0).sum())
        raise NasplugError(
            f"every mel band must hold a frequency, but with {rate} samples a second {bands - most} of "
            f"{bands} hold none; type task.mels={most // 2} or less"
        )
    found: FloatArray = filters
    return found


def spec_augment(
    features: torch.Tensor,
    rng: np.random.Generator,
    frequency_masks: int,
    frequency_width: int,
    time_masks: int,
    time_width: int,
) -> torch.Tensor:
    """A copy of (frames, bands) in which bands and stretches of time are 0, the mean.

    Park et al., SpecAugment, 2019: each mask is 0 to `.._width` wide, uniformly, at a uniform place;
    those in time at most a fifth of the frames.
    """
    masked = features.clone()
    frames, bands = masked.shape
    for _ in range(frequency_masks):
        width = int(rng.integers(0, min(frequency_width, bands) + 1))
        start = int(rng.integers(0, bands - width + 1))
        masked[:, start : start + width] = 0
    for _ in range(time_masks):
        width = int(rng.integers(0, min(time_width, frames // 5) + 1))
        start = int(rng.integers(0, frames - width + 1))
        masked[start : start + width] = 0
    return masked
