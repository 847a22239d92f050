"""The task `translation`: sentences of one language into another."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasplug import Metric, NasplugError, NonNegativeInt, PositiveInt, Range, Task
from nasplug.contracts.fingerprint import fingerprint
from nasplug.toolkit.sequences.tokens import PADDING
from nasplug_text.batching import TokenizedPairs
from nasplug_text.bleu import corpus_bleu, signature
from nasplug_text.decoding import decode
from nasplug_text.generated import LANGUAGES, generate
from nasplug_text.pairs import Corpus, Pairs
from nasplug_text.reading import LEAST, read
from nasplug_text.vocabulary import Vocabulary, learn

log = logging.getLogger(__name__)

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
GENERATED_VOCABULARY, VOCABULARY = 400, 4000
"""Tokens where the user names no number; of files at most."""
EVALUATED = 16_384
"""Tokens a batch when the loss is measured."""
CALIBRATED = 2
"""Batches on which statistics are estimated: encoder-decoders have layer norms, and need none."""


@final
class Translation(Task):
    """Encoder-decoders that translate, measured by BLEU.

    A network is called with (source (n, s), target (n, t)), int64, padded on the right with PADDING,
    and returns logits (n, t, V); with `encode` and `decode` (see `EncoderDecoder`) it is decoded
    fast. Batches are (source, target_in, target_out): a source ends with END, target_in begins with
    BEGIN, target_out ends with END. `batch_size` counts tokens: pairs times their longest side.
    The outputs of `forward` are the logits of target tokens alone, (tokens, V), without padding.

    path: see `nasplug_text.reading.read`; None: the generated data (`pairs`, `languages`, `data_seed`).
    vocabulary: tokens, of both languages where `joint`, else of each. Quality is corpus BLEU of
    detokenised text by sacrebleu, decoded by beam search, and the label-smoothed loss of training.
    """

    metrics: Mapping[str, Metric] = {
        "bleu": Metric("%", "maximize"),
        "loss": Metric("nats a token", "minimize"),
    }

    def __init__(
        self,
        path: str | None = None,
        source: str = "de",
        target: str = "en",
        vocabulary: PositiveInt | None = None,
        joint: bool = True,
        lowercase: bool = False,
        max_length: PositiveInt = 100,
        beam: PositiveInt = 4,
        length_penalty: float = 1.0,
        label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        validation_sentences: PositiveInt | None = None,
        pairs: Annotated[int, Range(ge=20)] = 40_000,
        languages: Sequence[str] = LANGUAGES,
        data_seed: NonNegativeInt = 0,
    ) -> None:
        self.path = path
        self.source = source
        self.target = target
        self.vocabulary = vocabulary
        self.joint = joint
        self.lowercase = lowercase
        self.max_length = max_length
        self.beam = beam
        self.length_penalty = length_penalty
        self.label_smoothing = label_smoothing
        self.validation_sentences = validation_sentences
        self.pairs = pairs
        self.languages = languages
        self.data_seed = data_seed

    @cached_property
    def corpus(self) -> Corpus:
        """The sentences, read or generated when first asked for."""
        if self.path is None:
            made = generate(self.pairs, self.languages, self.data_seed)
        else:
            made = read(self.path, self.source, self.target)
        limit, test = self.validation_sentences, made.test
        made = Corpus(made.name, made.train, made.validation.first(limit), test)
        if self.lowercase:
            test = test and test.lowered()
            made = Corpus(made.name, made.train.lowered(), made.validation.lowered(), test)
        log.info(
            "%s: %d training pairs, %d for validation, %d for test; BLEU is sacrebleu's %s",
            made.name, len(made.train), len(made.validation), len(test or ()), signature(),
        )  # fmt: skip
        return made

    @cached_property
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """Of the source and of the target; one and the same where `joint`."""
        size, train = self.vocabulary or VOCABULARY, self.corpus.train
        if self.path is None and self.vocabulary is None:
            size = GENERATED_VOCABULARY
        exact = self.vocabulary is not None
        if self.joint:
            both = learn([*train.source, *train.target], size, exact, "the joint vocabulary")
            return both, both
        return (
            learn(train.source, size, exact, "the source vocabulary"),
            learn(train.target, size, exact, "the target vocabulary"),
        )

    @cached_property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """Tokens of each vocabulary, which is learnt when first asked for."""
        source, target = self.vocabularies
        return {"source_vocabulary": len(source), "target_vocabulary": len(target)}

    # ---- training -------------------------------------------------------------------------------

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Every pair once, of similar length in a batch of at most `batch_size` tokens."""
        rng = np.random.default_rng([seed, epoch])
        for rows in self._training.batches(batch_size, rng):
            yield self._training.batch(rows)

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """The same in every epoch."""
        return self._training.count(batch_size)

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """Two of them."""
        return islice(self.train_batches(batch_size, seed=0), CALIBRATED)

    def forward(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Logits of the target tokens of a batch one after the other, (tokens, V)."""
        return _tokens(model(*self.inputs(batch)), batch[-1])

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Label-smoothed cross-entropy a target token, of what `forward` or the network gives."""
        logits = outputs if outputs.ndim == 2 else _tokens(outputs, batch[-1])
        targets = batch[-1][batch[-1] != PADDING]
        return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    # ---- quality --------------------------------------------------------------------------------

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the validation pairs; nothing is decoded for the loss."""
        return self._quality(model, metrics, self.corpus.validation, self._validation)

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """Those of `metrics` on the test pairs, which no search sees; {} where there are none."""
        if self.corpus.test is None or self._test is None:  # both are, or none
            return {}
        return self._quality(model, metrics, self.corpus.test, self._test)

    @torch.no_grad()
    def _quality(
        self, model: nn.Module, metrics: Collection[str], pairs: Pairs, tokens: TokenizedPairs
    ) -> dict[str, float]:
        found = {}
        if "bleu" in metrics:
            sources = tokens.source.lists()
            decoded = decode(model, sources, self.beam, self.length_penalty, self.max_length)
            found["bleu"] = corpus_bleu(self.vocabularies[1].decode(decoded), pairs.target)[0]
        if "loss" in metrics:
            found["loss"] = self._loss(model, tokens)
        return found

    def _loss(self, model: nn.Module, tokens: TokenizedPairs) -> float:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        total, count = 0.0, 0
        for rows in tokens.batches(EVALUATED, None):
            source, before, after = (part.to(device) for part in tokens.batch(rows))
            batch, size = (source, before, after), int((after != PADDING).sum())
            loss = self.criterion(self.forward(model, batch).float(), batch)
            total, count = total + size * float(loss), count + size
        return total / count

    # ---- data -----------------------------------------------------------------------------------

    def data_fingerprint(self) -> str:
        """A hash of all sentences."""
        corpus = self.corpus
        parts = (corpus.train, corpus.validation, *([corpus.test] if corpus.test else []))
        return fingerprint(
            *("\n".join(side) for part in parts for side in (part.source, part.target))
        )

    def deployment_info(self) -> Mapping[str, Any]:
        """What makes `nasplug.load(folder).translate(texts)`: settings, languages, vocabularies."""
        source, target = self.vocabularies
        names = ("source", "target", "beam", "length_penalty", "max_length", "lowercase")
        application = {name: getattr(self, name) for name in names}
        if self.path is None:
            application |= {"source": "de", "target": ", ".join(self.languages)}
        return {
            "application": {"_target_": "nasplug_text.translator.Translator", **application},
            "bleu": signature(),
            "source_vocabulary": source.to_text(),
            "target_vocabulary": None if target is source else target.to_text(),
        }

    @cached_property
    def _training(self) -> TokenizedPairs:
        """Without pairs that have more than `max_length` tokens on a side."""
        train, most = self.corpus.train, self.max_length
        source, target = self._tokens(train)
        short = [max(len(s), len(t)) <= most for s, t in zip(source, target, strict=True)]
        if sum(short) < LEAST:
            raise NasplugError(
                f"at least {LEAST} training pairs must have at most {most} tokens a side, but "
                f"{sum(short)} have; raise task.max_length, or task.vocabulary for fewer tokens a word"
            )
        if not all(short):
            left_out = len(short) - sum(short)
            log.warning(
                "%d training pairs have more than %d tokens, and are left out", left_out, most
            )
        return TokenizedPairs(
            [s for s, keep in zip(source, short, strict=True) if keep],
            [t for t, keep in zip(target, short, strict=True) if keep],
        )

    @cached_property
    def _validation(self) -> TokenizedPairs:
        return self._cut(self.corpus.validation)

    @cached_property
    def _test(self) -> TokenizedPairs | None:
        return None if self.corpus.test is None else self._cut(self.corpus.test)

    def _cut(self, pairs: Pairs) -> TokenizedPairs:
        """What is longer than `max_length` is cut for the networks; BLEU has the whole references."""
        sides = [[ids[: self.max_length] for ids in side] for side in self._tokens(pairs)]
        return TokenizedPairs(*sides)

    def _tokens(self, pairs: Pairs) -> tuple[list[list[int]], list[list[int]]]:
        source, target = self.vocabularies
        return source.encode(pairs.source), target.encode(pairs.target)


def _tokens(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Those of `logits` (n, t, V) where `targets` (n, t) are not PADDING, (tokens, V)."""
    return logits[targets != PADDING]
