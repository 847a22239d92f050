"""The task `text`: texts, or pairs of texts, into classes."""

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

from nasplug import Metric, NasplugError, NonNegativeInt, PositiveInt, Range, Task, call
from nasplug.contracts.fingerprint import fingerprint
from nasplug.toolkit.networks.nested import main_output
from nasplug_text.classification.batching import TokenizedTexts
from nasplug_text.classification.generated import generate
from nasplug_text.classification.labelled import Labelled, LabelledCorpus
from nasplug_text.classification.reading import read
from nasplug_text.tokenizer import TextTokenizer, learn, read_tokenizer

log = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]
Part = tuple[TokenizedTexts, torch.Tensor]
"""Texts as token ids, and their classes (n,), int64."""
GENERATED_VOCABULARY, VOCABULARY = 300, 4000
"""Tokens where the user names no number; of files at most."""
EVALUATED = 256
"""Texts a batch when quality is measured."""
CALIBRATED = 2
"""Batches on which statistics are estimated: encoders have layer norms, and need none."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@final
class TextClassification(Task):
    """Encoders that tell what class a text, or a pair of texts, is of.

    A network is called by keywords, as those of Hugging Face are: `input_ids` (n, t), `attention_mask`
    (n, t), 0 at padding, which is on the right, and `token_type_ids` (n, t), 1 in the second text of a
    pair; all int64. It returns logits (n, classes), or a structure that has them as `logits`. Batches
    are these and `labels` (n,). `batch_size` counts texts.

    path: see `nasplug_text.classification.reading.read`; None: the generated pairs (`pairs`,
    `languages`, `data_seed`). vocabulary: tokens to be learnt, or a tokenizer that is given, see
    `read_tokenizer`. lowercase None: a learnt one does so, a given one as it says. Quality is accuracy
    (%) and cross-entropy without label smoothing.
    """

    metrics: Mapping[str, Metric] = {
        "top1": Metric("%", "maximize"),
        "loss": Metric("nats", "minimize"),
    }

    def __init__(
        self,
        path: str | None = None,
        text: str = "text",
        second: str = "second",
        label: str = "label",
        vocabulary: PositiveInt | str | None = None,
        lowercase: bool | None = None,
        max_length: PositiveInt = 128,
        label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        validation_share: Annotated[float, Range(gt=0, lt=1)] = 0.1,
        pairs: Annotated[int, Range(ge=48)] = 16_000,
        languages: Sequence[str] = ("en", "fr", "de"),
        data_seed: NonNegativeInt = 0,
    ) -> None:
        self.path = path
        self.text = text
        self.second = second
        self.label = label
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.max_length = max_length
        self.label_smoothing = label_smoothing
        self.validation_share = validation_share
        self.pairs = pairs
        self.languages = languages
        self.data_seed = data_seed

    @cached_property
    def corpus(self) -> LabelledCorpus:
        """The texts, read or generated when first asked for."""
        if self.path is None:
            made = generate(self.pairs, self.languages, self.data_seed)
        else:
            columns = (self.text, self.second, self.label)
            made = read(self.path, columns, self.validation_share)
        counts = [made.validation.labels.count(label) for label in made.labels]
        log.info(
            "%s: %d training %s of %d classes, %d for validation, of which %.1f %% are of one class, %d "
            "for test",
            made.name, len(made.train), "texts" if made.train.seconds is None else "pairs",
            len(made.labels), len(made.validation), 100 * max(counts) / max(1, sum(counts)),
            len(made.test or ()),
        )  # fmt: skip
        return made

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Learnt from the training texts, or read."""
        if isinstance(self.vocabulary, str):
            return read_tokenizer(self.vocabulary, self.lowercase)
        train, exact = self.corpus.train, self.vocabulary is not None
        size = self.vocabulary or (GENERATED_VOCABULARY if self.path is None else VOCABULARY)
        lines = [*train.texts, *(train.seconds or ())]
        return learn(lines, size, self.lowercase is not False, exact)

    @cached_property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """The classes, the tokens of the vocabulary, which is learnt when first asked for, and of the
        longest text."""
        return {
            "num_classes": len(self.corpus.labels),
            "vocabulary": len(self.tokenizer),
            "max_length": self.max_length,
        }

    # ---- training -------------------------------------------------------------------------------

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Every text once, of similar length in a batch."""
        texts, labels = self._training
        for rows in texts.batches(batch_size, np.random.default_rng([seed, epoch])):
            yield {**texts.batch(rows), "labels": labels[torch.from_numpy(rows)]}

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """The same in every epoch."""
        return -(-len(self.corpus.train) // batch_size)

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """Two of them."""
        return islice(self.train_batches(batch_size, seed=0), CALIBRATED)

    def inputs(self, batch: Batch) -> Mapping[str, Any]:
        """All but the labels."""
        return {name: batch[name] for name in INPUTS}

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Cross-entropy with label smoothing."""
        return functional.cross_entropy(
            _logits(outputs), batch["labels"], label_smoothing=self.label_smoothing
        )

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """Cross-entropy of the teacher's classes."""
        return functional.cross_entropy(_logits(outputs), _logits(teacher).softmax(-1))

    # ---- quality --------------------------------------------------------------------------------

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the validation texts."""
        return self._quality(model, metrics, self._validation)

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the test texts, which no search sees; {} where there are none."""
        return {} if self._test is None else self._quality(model, metrics, self._test)

    @torch.no_grad()
    def _quality(self, model: nn.Module, metrics: Collection[str], part: Part) -> dict[str, float]:
        texts, labels = part
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        right, loss = 0, 0.0
        for rows in texts.batches(EVALUATED, None):
            inputs = {name: tensor.to(device) for name, tensor in texts.batch(rows).items()}
            logits = _logits(call(model, inputs)).float()
            answers = labels[torch.from_numpy(rows)].to(device)
            right += int((logits.argmax(1) == answers).sum())
            loss += float(functional.cross_entropy(logits, answers, reduction="sum"))
        found = {"top1": 100 * right / len(texts), "loss": loss / len(texts)}
        return {name: found[name] for name in self.metrics if name in metrics}

    # ---- data -----------------------------------------------------------------------------------

    def data_fingerprint(self) -> str:
        """A hash of all texts, their classes and the tokenizer."""
        corpus = self.corpus
        parts = (corpus.train, corpus.validation, *([corpus.test] if corpus.test else []))
        sides = [side for p in parts for side in (p.texts, p.seconds or (), p.labels)]
        return fingerprint(
            self.tokenizer.text, "\n".join(corpus.labels), *("\n".join(side) for side in sides)
        )

    def deployment_info(self) -> Mapping[str, Any]:
        """What makes `nasplug.load(folder).classify(texts)`: the classes, the tokenizer, the length."""
        return {
            "labels": list(self.corpus.labels),
            "tokenizer": self.tokenizer.text,
            "application": {
                "_target_": "nasplug_text.classification.classifier.TextClassifier",
                "max_length": self.max_length,
                "pairs": self.corpus.train.seconds is not None,
            },
        }

    @cached_property
    def _training(self) -> Part:
        return self._tokens(self.corpus.train)

    @cached_property
    def _validation(self) -> Part:
        return self._tokens(self.corpus.validation)

    @cached_property
    def _test(self) -> Part | None:
        return None if self.corpus.test is None else self._tokens(self.corpus.test)

    def _tokens(self, part: Labelled) -> Part:
        ids, types = self.tokenizer.encode(part.texts, part.seconds, self.max_length)
        number = {label: i for i, label in enumerate(self.corpus.labels)}
        cut = sum(len(text) == self.max_length for text in ids)
        if cut:
            log.info("%d texts have %d tokens or are cut to them", cut, self.max_length)
        labels = torch.tensor([number[label] for label in part.labels])
        return TokenizedTexts(ids, types, self.tokenizer.padding), labels


def _logits(outputs: Any) -> torch.Tensor:
    """Those of a network's outputs."""
    logits = getattr(outputs, "logits", None)
    logits = main_output(outputs) if logits is None else logits
    if logits is None or logits.ndim != 2:
        shape = None if logits is None else tuple(logits.shape)
        raise NasplugError(
            f"a network of task=text must give logits of shape (texts, classes), but gave {shape}"
        )
    return logits
