"""A small speech network for tests, and wav files."""

import io
import wave
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Hearing(nn.Module):
    """Strided convolution, and logits a frame, or of the mean frame; padding has no influence."""

    def __init__(self, mels, outputs, labelled=False, width=8):
        super().__init__()
        self.conv = nn.Conv1d(mels, width, 3, stride=2, padding=1)
        self.head = nn.Linear(width, outputs)
        self.labelled = labelled

    def forward(self, features, frames, tokens=None):
        x = torch.tanh(self.conv(features.transpose(1, 2))).transpose(1, 2)
        lengths = (frames + 1) // 2
        if not self.labelled:
            return self.head(x), lengths
        inside = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
        return self.head((x * inside).sum(1) / lengths[:, None])


def network_for(task, seed=0):
    from nasplug import seeded

    sizes = task.network_dimensions
    with seeded(seed):
        outputs = sizes.get("vocabulary") or sizes["num_classes"]
        return Hearing(sizes["mels"], outputs, task.labelled).eval()


def wav(samples, rate=8000, width=2, channels=1):
    """The bytes of a wav file of `samples`, whole numbers (n,) or (n, channels)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        raw = np.asarray(samples, "<i8").reshape(-1)
        data = raw.astype("u1").tobytes() if width == 1 else b""
        if width > 1:
            data = b"".join(int(x).to_bytes(width, "little", signed=True) for x in raw)
        writer.writeframes(data)
    return file.getvalue()


def tone(hertz, seconds=0.2, rate=8000, loud=0.5):
    time = np.arange(int(seconds * rate)) / rate
    return (32767 * loud * np.sin(2 * np.pi * hertz * time)).astype(int)


def write_labelled(folder: Path, speakers=("ann", "bob"), labels=("low", "high"), count=12):
    """LABEL_SPEAKER_INDEX.wav: tones of two pitches."""
    for s, speaker in enumerate(speakers):
        for k, label in enumerate(labels):
            for i in range(count):
                samples = tone(300 + 600 * k + 20 * i + 50 * s, 0.15 + 0.01 * i)
                (folder / f"{label}_{speaker}_{i}.wav").write_bytes(wav(samples))
    return str(folder)


def write_transcribed(folder: Path, count=30, rate=8000):
    """FILE.txt beside FILE.wav."""
    words = ("one", "two", "three")
    for i in range(count):
        text = " ".join(words[(i + j) % 3] for j in range(1 + i % 3))
        (folder / f"r{i:02}.wav").write_bytes(wav(tone(300 + 10 * i, 0.3, rate), rate))
        (folder / f"r{i:02}.txt").write_text(text + "\n")
    return str(folder)
