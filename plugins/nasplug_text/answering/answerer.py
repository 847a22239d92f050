"""What an exported network does that answers questions: question and text in, passage out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import torch
from torch import nn

from nasplug import Application, NasplugError, NonNegativeInt, PositiveInt, call
from nasplug.contracts.errors import shortened
from nasplug_text.answering.logits import HIDDEN, span_logits
from nasplug_text.answering.questions import Question
from nasplug_text.answering.windows import Sizes, Windows, best_spans
from nasplug_text.tokenizer import TextTokenizer

AT_ONCE = 32
"""Windows in a batch."""


@final
class Answerer(Application):
    """Answers questions about texts with a network of the task `question_answering`.

    info: as `QuestionAnswering.deployment_info` wrote it, with `tokenizer`. The others are those of
    the task, as it measured.

    >>> nasplug.load("runs/mine/export/7").answer([("Who reads ?", "The dog sleeps. Anna reads.")])
    [{'answer': 'Anna', 'start': 16, 'score': 9.1}]
    """

    methods = ("predict", "answer")

    def __init__(
        self,
        network: nn.Module,
        info: Mapping[str, Any],
        max_length: PositiveInt,
        overlap: NonNegativeInt,
        max_question: PositiveInt,
        max_answer: PositiveInt,
    ) -> None:
        self.network = network
        self.info = info
        self.max_length = max_length
        self.overlap = overlap
        self.max_question = max_question
        self.max_answer = max_answer
        self._tokenizer = TextTokenizer.checked(info.get("tokenizer"), "the network's tokenizer")
        self._check_fit()

    def answer(self, questions: Iterable[Any]) -> list[dict[str, Any]]:
        """For each of `questions`, a pair of question and text, or both in one text with a tab between,
        the `answer`, the character of the text at which it begins (`start`), and its `score`, the sum
        of the logits of its two ends; an empty answer where the text is empty."""
        asked = [_question(given, questions) for given in _listed(questions)]
        if not asked:
            return []
        sizes = Sizes(self.max_length, self.overlap, self.max_question)
        windows = Windows(asked, self._tokenizer, sizes)
        answers: list[dict[str, Any]] = [
            {"answer": "", "start": 0, "score": None} for _ in range(len(asked))
        ]
        for rows in windows.tokens.batches(AT_ONCE, None):
            spans = [windows.spans[row] for row in rows]
            found = best_spans(self._logits(windows.tokens.batch(rows)), spans, self.max_answer)
            for row, span, first, last, score in zip(
                rows.tolist(), spans, *(x.tolist() for x in found), strict=True
            ):
                owner = int(windows.owners[row])
                best = answers[owner]["score"]
                if score > float("-inf") and (best is None or score > best):
                    begin, end = int(span[first, 0]), int(span[last, 1])
                    text = asked[owner].context[begin:end]
                    answers[owner] = {"answer": text, "start": begin, "score": score}
        return answers

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The same."""
        return list(self.answer(inputs))

    @torch.no_grad()
    def _logits(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = span_logits(call(self.network, batch))
        return logits.masked_fill(batch["attention_mask"][..., None] == 0, HIDDEN)

    def _check_fit(self) -> None:
        """The network takes tokens of this vocabulary, and windows of this length."""
        last = len(self._tokenizer) - 1
        ids = torch.full((1, self.max_length), last)
        batch = {
            "input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": 0 * ids
        }  # fmt: skip
        try:
            self._logits(batch)
        except (IndexError, RuntimeError, TypeError, AttributeError) as error:
            raise NasplugError(
                f"the network must take {self.max_length} tokens of a vocabulary of {last + 1}, but: "
                f"{' '.join(str(error).split()):.100}"
            ) from None


def _listed(questions: Iterable[Any]) -> list[Any]:
    return [questions] if isinstance(questions, str) else list(questions)


def _question(given: Any, all_: Any) -> Question:
    pair = given.split("\t") if isinstance(given, str) and not isinstance(all_, str) else given
    if not (
        isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(t, str) for t in pair)
    ):
        raise NasplugError(
            "answer must be given a list of pairs of a question and a text, or of both in one with a tab "
            f"between them, but got {shortened(given)}"
        )
    return Question(pair[0], pair[1], (), ())
