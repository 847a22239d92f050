"""The task `speech`: recordings to transcripts or labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug import (
    Metric,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Task,
    UnitInterval,
)
from nasplug.contracts.types import IntArray
from nasplug.toolkit.sequences.tokens import PADDING
from nasplug_speech import losses
from nasplug_speech.batching import batches, cuts, padded, tokens
from nasplug_speech.data import Featured, SpeechData, check
from nasplug_speech.decoding import checked, hear
from nasplug_speech.features import spec_augment
from nasplug_speech.scoring import word_error_rate
from nasplug_speech.vocabulary import Units, Vocabulary, learn

Batch = tuple[torch.Tensor, ...]
EVALUATED = 16_384
"""Frames a batch when quality is measured."""
CALIBRATED = 2
"""Batches on which statistics are estimated."""
LOSS = Metric("nats", "minimize")


@final
class Speech(Task):
    """Networks that write down what is said, by the word error rate; or name it, by accuracy.

    A network is called with log-mel features (n, t, mels), float32, 0 behind each recording, its
    frames (n,), int64, and for transcripts the tokens so far (n, u), which begin with BEGIN. For
    transcripts it gives (logits (n, t', V), their frames (n,)) for CTC, whose blank is token 0, and as a
    third (n, u, V) where it has an attention decoder (then `encode` and `decode` of `EncoderDecoder`,
    whose source are features and frames). For labels it gives logits (n, classes).

    Batches are (features, frames, tokens_in, tokens_out) or (features, frames, labels); `batch_size`
    counts frames: recordings times the longest. The loss is ctc_weight * CTC + (1 - ctc_weight) *
    attention, nats a token; CTC alone without a decoder. `wer` decodes freely: nothing of a transcript
    is given to the network.

    path: see `reading.read_transcripts` and `read_labels`; None: generated syllables, of which
    sequences are made. connected: makes sequences of recordings with labels; None: 5 of generated ones.
    """

    metrics: Mapping[str, Metric] = {"wer": Metric("%", "minimize"), "loss": LOSS}

    def __init__(
        self,
        path: str | None = None,
        answers: Literal["transcripts", "labels"] = "transcripts",
        units: Units = "words",
        connected: PositiveInt | None = None,
        sequences: PositiveInt = 1000,
        fixed_sequences: PositiveInt = 200,
        held_out: Annotated[int, Range(ge=3)] = 10,
        sample_rate: Annotated[int, Range(ge=1000)] | None = None,
        mels: Annotated[int, Range(ge=4)] = 40,
        window: PositiveFloat = 0.025,
        hop: PositiveFloat = 0.01,
        frequency_masks: NonNegativeInt = 2,
        frequency_width: NonNegativeInt = 8,
        time_masks: NonNegativeInt = 2,
        time_width: NonNegativeInt = 12,
        ctc_weight: UnitInterval = 0.3,
        label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        decoding: Literal["ctc", "attention"] = "ctc",
        beam: PositiveInt = 1,
        data_seed: NonNegativeInt = 0,
    ) -> None:
        self.path = path
        self.answers = answers
        self.units = units
        self.connected = connected
        self.sequences = sequences
        self.fixed_sequences = fixed_sequences
        self.held_out = held_out
        self.sample_rate = sample_rate
        self.mels = mels
        self.window = window
        self.hop = hop
        self.frequency_masks = frequency_masks
        self.frequency_width = frequency_width
        self.time_masks = time_masks
        self.time_width = time_width
        self.ctc_weight = ctc_weight
        self.label_smoothing = label_smoothing
        self.decoding = decoding
        self.beam = beam
        self.data_seed = data_seed
        self._longest = check(path, answers == "labels", connected)
        if self.labelled:
            self.metrics = {"top1": Metric("%", "maximize"), "loss": LOSS}

    @property
    def labelled(self) -> bool:
        """Whether recordings have labels, not transcripts."""
        return self.answers == "labels"

    @cached_property
    def data(self) -> SpeechData:
        """Read or generated when first asked for."""
        return SpeechData(
            self.path,
            self.labelled,
            self._longest,
            self.sequences,
            self.fixed_sequences,
            self.held_out,
            self.sample_rate,
            self.mels,
            self.window,
            self.hop,
            self.data_seed,
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of transcripts: words or characters of the training recordings."""
        texts = self.data.answers()
        if self.units == "characters" and self._longest is not None:
            texts = [*texts, " "]  # which connected words are joined by
        return learn(texts, self.units)

    @cached_property
    def classes(self) -> list[str]:
        """The labels, in the order of the logits."""
        return sorted(set(self.data.answers()))

    @cached_property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """Mel bands, and the tokens of the vocabulary or the classes."""
        if self.labelled:
            return {"mels": self.mels, "num_classes": len(self.classes)}
        return {"mels": self.mels, "vocabulary": len(self.vocabulary)}

    # ---- training -------------------------------------------------------------------------------

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Every recording, or `sequences` new sequences, once, of similar length in a batch of about
        `batch_size` frames, with SpecAugment."""
        part, rng = self.data.train(seed, epoch), np.random.default_rng([seed, epoch])
        for rows in batches(part.frames, self._edges(batch_size), rng):
            yield self._batch(part, rows, rng)

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """The same in every epoch: new sequences are cut where those of the first were."""
        return len(self._edges(batch_size)) - 1

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """Two training batches."""
        return islice(self.train_batches(batch_size, seed=0), CALIBRATED)

    def forward(self, model: nn.Module, batch: Batch) -> Any:
        """What the network gives."""
        outputs = model(*batch[:-1])
        return outputs if self.labelled else checked(outputs)

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy with label smoothing of labels, else the loss a token; see the class."""
        return self._loss(outputs, batch, strict=False)

    def _loss(self, outputs: Any, batch: Batch, strict: bool) -> torch.Tensor:
        after = batch[-1]
        if self.labelled:
            return functional.cross_entropy(outputs, after, label_smoothing=self.label_smoothing)
        logits, lengths, *decoded = checked(outputs)
        count = (after != PADDING).sum() - len(after)
        loss = losses.ctc(logits, lengths, after, strict) / count
        if not decoded:
            return loss
        other = losses.attention(decoded[0], after, self.label_smoothing) / (count + len(after))
        return self.ctc_weight * loss + (1 - self.ctc_weight) * other

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """Cross-entropy against the teacher's tokens in every frame, weighted as the loss with that of
        its decoder."""
        if self.labelled:
            return functional.cross_entropy(outputs, teacher.softmax(-1))
        logits, lengths, *decoded = teacher
        inside = torch.arange(logits.shape[1], device=logits.device) < lengths[:, None]
        loss = losses.soft(outputs[0], logits, inside)
        if not decoded:
            return loss
        every = torch.ones(decoded[0].shape[:2], dtype=torch.bool, device=logits.device)
        other = losses.soft(outputs[2], decoded[0], every)
        return self.ctc_weight * loss + (1 - self.ctc_weight) * other

    # ---- quality --------------------------------------------------------------------------------

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the validation recordings; nothing is decoded for the loss."""
        return self._quality(model, metrics, "validation")

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """Those of `metrics` on the test recordings, which no search sees; {} where there are none."""
        return self._quality(model, metrics, "test") if "test" in self.data.fixed else {}

    @torch.no_grad()
    def _quality(self, model: nn.Module, metrics: Collection[str], name: str) -> dict[str, float]:
        part = self.data.fixed[name]
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        heard = [""] * len(part.frames)
        right, loss, count = 0, 0.0, 0
        for rows in batches(part.frames, cuts(part.frames, EVALUATED), None):
            batch = tuple(x.to(device) for x in self._batch(part, rows, None))
            if self.labelled or "loss" in metrics:
                outputs = self.forward(model, batch)
                size = len(rows)
                if self.labelled:
                    right += int((outputs.argmax(1) == batch[-1]).sum())
                else:
                    size = int((batch[-1] != PADDING).sum()) - len(rows)
                loss += size * float(self._loss(outputs, batch, strict=True))
                count += size
            if "wer" in metrics:
                beam = self.beam if self.decoding == "attention" else None
                for row, ids in zip(rows, hear(model, batch[0], batch[1], beam), strict=True):
                    heard[row] = self.vocabulary.decode(ids)
        found = {}
        if "wer" in metrics:
            found["wer"] = word_error_rate(heard, part.answers())
        if "top1" in metrics:
            found["top1"] = 100 * right / count
        if "loss" in metrics:
            found["loss"] = loss / count
        return found

    # ---- data -----------------------------------------------------------------------------------

    def data_fingerprint(self) -> str:
        """A hash of the names, answers, sizes and times of all recordings."""
        return self.data.fingerprint()

    def deployment_info(self) -> Mapping[str, Any]:
        """What makes `nasplug.load(folder).transcribe(files)`: features, vocabulary or labels."""
        names = ("mels", "window", "hop", "decoding", "beam")
        application = {name: getattr(self, name) for name in names}
        info: dict[str, Any] = {"application": {
            "_target_": "nasplug_speech.transcriber.Transcriber",
            **application,
            "sample_rate": self.data.rate,
        }}  # fmt: skip
        if self.labelled:
            return {**info, "labels": self.classes}
        return {**info, "tokens": self.vocabulary.tokens, "units": self.units}

    def _edges(self, batch_size: int) -> list[int]:
        edges: dict[int, list[int]] = self.__dict__.setdefault("_cut", {})
        if batch_size not in edges:
            edges[batch_size] = cuts(self.data.train(0, 0).frames, batch_size)
        return edges[batch_size]

    def _batch(self, part: Featured, rows: IntArray, rng: np.random.Generator | None) -> Batch:
        """The recordings of `rows`, masked at random where there is an `rng`."""
        masks = self.frequency_masks, self.frequency_width, self.time_masks, self.time_width
        features = [part(int(row)) for row in rows]
        if rng is not None:
            features = [spec_augment(one, rng, *masks) for one in features]
        answers = [part.utterances.answer(int(row)) for row in rows]
        if self.labelled:
            return (*padded(features), torch.tensor([self._class(a) for a in answers]))
        return (*padded(features), *tokens([self.vocabulary.encode(a) for a in answers]))

    def _class(self, label: str) -> int:
        return self.classes.index(label)

    def __getstate__(self) -> dict[str, Any]:
        made = ("data", "vocabulary", "classes", "network_dimensions", "_cut")
        return {name: value for name, value in vars(self).items() if name not in made}
