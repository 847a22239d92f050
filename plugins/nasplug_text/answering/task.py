"""The task `question_answering`: passages of a text that answer a question."""

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
from nasplug_text.answering.generated import generate
from nasplug_text.answering.logits import HIDDEN, span_logits
from nasplug_text.answering.questions import Question, Questions
from nasplug_text.answering.scores import exact_match, f1, percent
from nasplug_text.answering.squad import read
from nasplug_text.answering.windows import Sizes, Windows, best_spans
from nasplug_text.tokenizer import TextTokenizer, learn, read_tokenizer

log = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]
GENERATED_VOCABULARY, VOCABULARY = 150, 8000
"""Tokens where the user names no number; of files at most."""
EVALUATED = 32
"""Windows a batch when quality is measured."""
CALIBRATED = 2
"""Batches on which statistics are estimated: encoders have layer norms, and need none."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@final
class QuestionAnswering(Task):
    """Encoders that find where in a text the answer to a question is.

    A network is called by keywords as in the task `text`, with a window: the question, and so much of
    the text as `max_length` has room for. It returns logits (n, t, 2), of each token how well an answer
    begins and ends there, or a structure with `start_logits` and `end_logits`, (n, t) each. Batches are
    the inputs and `positions` (n, 2), the first and last token of the answer, 0 twice where the window
    has none. `batch_size` counts windows. `forward` gives logits whose padding is hidden.

    path: see `nasplug_text.answering.squad.read`; None: generated questions (`questions`,
    `data_seed`). vocabulary, lowercase: as in the task `text`. Quality is F1 and exact match of
    SQuAD's evaluation (Rajpurkar et al., EMNLP 2016), in percent, of the best answer of at most
    `max_answer` tokens in any window, and the cross-entropy of both ends, a mean of windows.
    """

    metrics: Mapping[str, Metric] = {
        "f1": Metric("%", "maximize"),
        "exact_match": Metric("%", "maximize"),
        "loss": Metric("nats", "minimize"),
    }

    def __init__(
        self,
        path: str | None = None,
        vocabulary: PositiveInt | str | None = None,
        lowercase: bool | None = None,
        max_length: PositiveInt = 384,
        overlap: NonNegativeInt = 128,
        max_question: PositiveInt = 64,
        max_answer: PositiveInt = 30,
        questions: Annotated[int, Range(ge=48)] = 8000,
        data_seed: NonNegativeInt = 0,
    ) -> None:
        self.path = path
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.max_length = max_length
        self.overlap = overlap
        self.max_question = max_question
        self.max_answer = max_answer
        self.questions = questions
        self.data_seed = data_seed

    @cached_property
    def corpus(self) -> Questions:
        """The questions, read or generated when first asked for."""
        made = generate(self.questions, self.data_seed) if self.path is None else read(self.path)
        log.info(
            "%s: %d training questions, %d for validation, %d for test",
            made.name, len(made.train), len(made.validation), len(made.test or ()),
        )  # fmt: skip
        return made

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Learnt from the training questions and their texts, or read."""
        if isinstance(self.vocabulary, str):
            return read_tokenizer(self.vocabulary, self.lowercase)
        train, exact = self.corpus.train, self.vocabulary is not None
        size = self.vocabulary or (GENERATED_VOCABULARY if self.path is None else VOCABULARY)
        lines = [*dict.fromkeys(q.context for q in train), *(q.question for q in train)]
        return learn(lines, size, self.lowercase is not False, exact)

    @cached_property
    def network_dimensions(self) -> Mapping[str, int]:  # type: ignore[override]
        """Two numbers for each token, the tokens of the vocabulary, and of a window."""
        return {
            "token_outputs": 2,
            "vocabulary": len(self.tokenizer),
            "max_length": self.max_length,
        }

    # ---- training -------------------------------------------------------------------------------

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Every window once, of similar length in a batch."""
        windows, positions = self._training
        for rows in windows.tokens.batches(batch_size, np.random.default_rng([seed, epoch])):
            yield {**windows.tokens.batch(rows), "positions": positions[torch.from_numpy(rows)]}

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """The same in every epoch."""
        return -(-len(self._training[0]) // batch_size)

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """Two of them."""
        return islice(self.train_batches(batch_size, seed=0), CALIBRATED)

    def inputs(self, batch: Batch) -> Mapping[str, Any]:
        """All but the positions."""
        return {name: batch[name] for name in INPUTS}

    def forward(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Logits (n, t, 2); those of padding are so low that they take no part."""
        logits = span_logits(call(model, self.inputs(batch)))
        return logits.masked_fill(batch["attention_mask"][..., None] == 0, HIDDEN)

    def criterion(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The mean of the cross-entropies of first and last token, of what `forward` or the network
        gives."""
        logits = span_logits(outputs)
        logits = logits.masked_fill(batch["attention_mask"][..., None] == 0, HIDDEN)
        return functional.cross_entropy(logits, batch["positions"])

    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        """Cross-entropy of the teacher's first and last tokens."""
        return functional.cross_entropy(span_logits(outputs), span_logits(teacher).softmax(1))

    # ---- quality --------------------------------------------------------------------------------

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the validation questions."""
        return self._quality(model, metrics, self.corpus.validation, self._validation)

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the test questions, which no search sees; {} where there are none."""
        if self.corpus.test is None or self._test is None:  # both are, or none
            return {}
        return self._quality(model, metrics, self.corpus.test, self._test)

    @torch.no_grad()
    def _quality(
        self,
        model: nn.Module,
        metrics: Collection[str],
        questions: Sequence[Question],
        windows: Windows,
    ) -> dict[str, float]:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        positions, loss = windows.targets(questions), 0.0
        answers, scores = [""] * len(questions), [float("-inf")] * len(questions)
        for rows in windows.tokens.batches(EVALUATED, None):
            batch = {**windows.tokens.batch(rows), "positions": positions[torch.from_numpy(rows)]}
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            logits = self.forward(model, batch).float()
            loss += float(self.criterion(logits, batch)) * len(rows)
            spans = [windows.spans[row] for row in rows]
            found = best_spans(logits, spans, self.max_answer)
            for row, span, first, last, score in zip(
                rows.tolist(), spans, *(x.tolist() for x in found), strict=True
            ):
                owner = int(windows.owners[row])
                if score > scores[owner]:
                    text = questions[owner].context
                    answers[owner], scores[owner] = text[span[first, 0] : span[last, 1]], score
        truths = [question.answers for question in questions]
        values = {
            "f1": percent(f1, answers, truths),
            "exact_match": percent(exact_match, answers, truths),
            "loss": loss / len(windows),
        }
        return {name: values[name] for name in self.metrics if name in metrics}

    # ---- data -----------------------------------------------------------------------------------

    def data_fingerprint(self) -> str:
        """A hash of all questions and the tokenizer."""
        corpus = self.corpus
        parts = (corpus.train, corpus.validation, *([corpus.test] if corpus.test else []))
        return fingerprint(self.tokenizer.text, *(repr(list(part)) for part in parts))

    def deployment_info(self) -> Mapping[str, Any]:
        """What makes `nasplug.load(folder).answer(questions)`: the tokenizer and the lengths."""
        names = ("max_length", "overlap", "max_question", "max_answer")
        return {
            "tokenizer": self.tokenizer.text,
            "application": {
                "_target_": "nasplug_text.answering.answerer.Answerer",
                **{name: getattr(self, name) for name in names},
            },
        }

    @cached_property
    def _training(self) -> tuple[Windows, torch.Tensor]:
        """The windows, and the first and last token of the answer in each."""
        windows = self._windows(self.corpus.train)
        positions = windows.targets(self.corpus.train)
        if not bool(positions.any()):
            raise NasplugError(
                "at least one training window must have a whole answer, but none has; raise "
                "task.max_length"
            )
        return windows, positions

    @cached_property
    def _validation(self) -> Windows:
        return self._windows(self.corpus.validation)

    @cached_property
    def _test(self) -> Windows | None:
        return None if self.corpus.test is None else self._windows(self.corpus.test)

    def _windows(self, questions: Sequence[Question]) -> Windows:
        sizes = Sizes(self.max_length, self.overlap, self.max_question)
        return Windows(questions, self.tokenizer, sizes)
