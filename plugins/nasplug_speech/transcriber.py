"""What an exported speech network does: wav files in, text or labels out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import nn

from nasplug import Application, NasplugError, PositiveFloat, PositiveInt
from nasplug.contracts.errors import shortened
from nasplug_speech.batching import padded
from nasplug_speech.decoding import hear
from nasplug_speech.features import LogMel
from nasplug_speech.files import open_file
from nasplug_speech.vocabulary import Vocabulary
from nasplug_speech.wav import read, resampled

TOGETHER = 16
"""Recordings that are heard at once."""


@final
class Transcriber(Application):
    """Writes down, or names, what is said in wav files.

    info: as `Speech.deployment_info` wrote it: `tokens` and `units`, or `labels`. The others are
    those of `Speech`; `sample_rate` is what the network was trained at: others are resampled.

    >>> nasplug.load("runs/mine/export/7").transcribe(["a.wav"])
    ['seven two two']
    """

    methods = ("predict", "transcribe")

    def __init__(
        self,
        network: nn.Module,
        info: Mapping[str, Any],
        sample_rate: PositiveInt,
        mels: PositiveInt,
        window: PositiveFloat,
        hop: PositiveFloat,
        decoding: Literal["ctc", "attention"],
        beam: PositiveInt,
    ) -> None:
        self.network = network
        self.info = info
        self.sample_rate = sample_rate
        self.mels = mels
        self.window = window
        self.hop = hop
        self.decoding = decoding
        self.beam = beam
        self._labels: list[str] | None = None
        if "tokens" in info:
            self._vocabulary = Vocabulary.from_tokens(info["tokens"], info.get("units"))
        else:
            labels = info.get("labels")
            if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
                raise NasplugError(f"labels must be a list of names, but got {shortened(labels)}")
            self._labels = labels
        self._make = LogMel(sample_rate, mels, window, hop)

    @torch.no_grad()
    def transcribe(self, files: Iterable[str | Path]) -> list[str]:
        """What is said in each wav file, or its label."""
        given = files if isinstance(files, str) else list(files)
        if isinstance(given, str) or not all(isinstance(file, str | Path) for file in given):
            raise NasplugError(
                f"transcribe must be given a list of wav files, but got {shortened(given)}"
            )
        found: list[str] = []
        for start in range(0, len(given), TOGETHER):
            features, frames = padded([self._features(f) for f in given[start : start + TOGETHER]])
            if self._labels is not None:
                best = self.network(features, frames).argmax(1).tolist()
                found += [self._labels[place] for place in best]
                continue
            beam = self.beam if self.decoding == "attention" else None
            ids = hear(self.network, features, frames, beam)
            found += [self._vocabulary.decode(one) for one in ids]
        return found

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The same."""
        return list(self.transcribe(inputs))

    def _features(self, file: str | Path) -> torch.Tensor:
        place = Path(file).expanduser()
        if not place.is_file():
            raise NasplugError(f"transcribe must be given wav files, but there is no {place}")
        samples, rate = read(partial(open_file, place), str(place))
        return self._make(resampled(samples, rate, self.sample_rate))
