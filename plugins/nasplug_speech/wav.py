"""Reading wav files: their length without their samples, their samples at another rate."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from math import gcd
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from nasplug import NasplugError

Samples = NDArray[np.float32]
"""One channel, between -1 and 1, shape (n,)."""
LARGEST_RATE = 1_000_000


def header(opened: Callable[[], BinaryIO], name: str) -> tuple[int, int]:
    """How many samples a wav file has, and how many a second; `name` is said in errors."""
    with opened() as file, _reader(file, name) as reader:
        count, rate = reader.getnframes(), reader.getframerate()
        _check(count, rate, name)
        return count, rate


def read(opened: Callable[[], BinaryIO], name: str) -> tuple[Samples, int]:
    """The samples of a wav file of 8, 16, 24 or 32 bits, its channels averaged, and their rate.

    Errors name the file: one that is no wav, is compressed or holds floats, has no samples or fewer
    than its header says.
    """
    with opened() as file, _reader(file, name) as reader:
        count, rate = reader.getnframes(), reader.getframerate()
        width, channels = reader.getsampwidth(), reader.getnchannels()
        _check(count, rate, name)
        data = reader.readframes(count)
    if len(data) != count * width * channels:
        raise NasplugError(
            f"{name} must hold the {count} samples that its header tells, but is cut off after "
            f"{len(data) // (width * channels)}; copy it again"
        )
    return _decoded(data, width).reshape(-1, channels).mean(1, dtype=np.float32), rate


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """`samples` of `rate` at the rate `wanted`, without aliasing: ceil(n * wanted / rate) of them."""
    if rate == wanted:
        return samples
    common = gcd(rate, wanted)
    changed = resample_poly(samples.astype(np.float64), wanted // common, rate // common)
    return np.asarray(changed, np.float32)


def resampled_length(count: int, rate: int, wanted: int) -> int:
    """How many samples `resampled` gives."""
    return -(-count * wanted // rate)


def _reader(file: BinaryIO, name: str) -> wave.Wave_read:
    try:
        return wave.open(file, "rb")
    except (wave.Error, EOFError, OSError, RuntimeError, ZeroDivisionError) as error:
        reason = str(error) or "it ends too early"
        raise NasplugError(
            f"{name} must be a wav file of whole numbers (PCM), but: {reason}; convert it, e.g. "
            "ffmpeg -i FILE -c:a pcm_s16le NEW.wav"
        ) from None


def _check(count: int, rate: int, name: str) -> None:
    if count < 1:
        raise NasplugError(f"{name} must hold a recording, but has no samples; leave it out")
    if not 1 <= rate <= LARGEST_RATE:
        raise NasplugError(
            f"{name} must have 1 to {LARGEST_RATE} samples a second, but says {rate}"
        )


def _decoded(data: bytes, width: int) -> Samples:
    """Little-endian whole numbers of `width` bytes as fractions."""
    if width == 1:  # alone without a sign
        return np.asarray((np.frombuffer(data, np.uint8).astype(float) - 128) / 128, np.float32)
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (padded.reshape(-1).view("<i4") / 2.0**31).astype(np.float32)
    kind = {2: "<i2", 4: "<i4"}[width]
    values = np.frombuffer(data, kind).astype(np.float64)
    return np.asarray(values / 2.0 ** (8 * width - 1), np.float32)


def encoded(samples: Samples, rate: int) -> bytes:
    """A wav file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()
