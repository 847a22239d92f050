"""What an exported text classifier does: text in, classes with their probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nasplug import Application, NasplugError, PositiveInt, call
from nasplug.contracts.errors import shortened
from nasplug.toolkit.networks.nested import main_output
from nasplug_text.classification.batching import TokenizedTexts
from nasplug_text.files import tidy
from nasplug_text.tokenizer import TextTokenizer

AT_ONCE = 128
"""Texts in a batch."""


@final
class TextClassifier(Application):
    """Classifies texts with a network of the task `text`.

    info: as `TextClassification.deployment_info` wrote it, with `labels` and `tokenizer`. max_length:
    tokens at which a text is cut. pairs: whether it learnt from pairs of texts; then each input is
    two texts, or one text with a tab between them.

    >>> nasplug.load("runs/mine/export/7").classify(["How far is the moon ?"])
    [{'label': 'NUM', 'probability': 0.97, 'probabilities': {'NUM': 0.97, 'DESC': 0.02, ..}}]
    """

    methods = ("predict", "classify")

    def __init__(
        self, network: nn.Module, info: Mapping[str, Any], max_length: PositiveInt, pairs: bool
    ) -> None:
        self.network = network
        self.info = info
        self.max_length = max_length
        self.pairs = pairs
        self._tokenizer = TextTokenizer.checked(info.get("tokenizer"), "the network's tokenizer")
        self._labels = self._checked_labels()
        self._check_fit()

    def classify(self, texts: Iterable[Any]) -> list[dict[str, Any]]:
        """For each of `texts` its `label`, the `probability` of it, and the `probabilities` of all
        labels, the greatest first."""
        sides = self._sides(texts)
        if not sides[0]:
            return []
        encoded = self._tokenizer.encode(*sides, self.max_length)
        tokens = TokenizedTexts(*encoded, self._tokenizer.padding)
        answers: list[dict[str, Any]] = [{}] * len(tokens)
        for rows in tokens.batches(AT_ONCE, None):
            for row, chances in zip(rows.tolist(), self._chances(tokens, rows), strict=True):
                order = np.argsort(-chances, kind="stable").tolist()
                ordered = {self._labels[i]: float(chances[i]) for i in order}
                best = self._labels[order[0]]
                answers[row] = {
                    "label": best, "probability": ordered[best], "probabilities": ordered
                }  # fmt: skip
        return answers

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The same."""
        return list(self.classify(inputs))

    @torch.no_grad()
    def _chances(self, tokens: TokenizedTexts, rows: Any) -> Any:
        """Probabilities (len(rows), classes)."""
        outputs = call(self.network, tokens.batch(rows))
        logits = getattr(outputs, "logits", None)
        logits = main_output(outputs) if logits is None else logits
        assert logits is not None
        return logits.float().softmax(-1).numpy()

    def _sides(self, texts: Iterable[Any]) -> tuple[list[str], list[str] | None]:
        """The texts, and the second ones of pairs."""
        given = texts if isinstance(texts, str) else list(texts)
        wanted = "pairs of texts, or texts with a tab between the two" if self.pairs else "texts"
        wrong = f"classify must be given a list of {wanted}, but got {shortened(given)}"
        if isinstance(given, str):
            raise NasplugError(wrong)
        if not self.pairs:
            if not all(isinstance(text, str) for text in given):
                raise NasplugError(wrong)
            return [tidy(text) for text in given], None
        split = [tuple(x.split("\t")) if isinstance(x, str) else x for x in given]
        if not all(
            isinstance(x, tuple | list) and len(x) == 2 and all(isinstance(t, str) for t in x)
            for x in split
        ):
            raise NasplugError(wrong)
        return [tidy(x[0]) for x in split], [tidy(x[1]) for x in split]

    def _checked_labels(self) -> list[str]:
        labels = self.info.get("labels")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise NasplugError(f"labels must be a list of names, but got {shortened(labels)}")
        return labels

    def _check_fit(self) -> None:
        """The network takes tokens of this vocabulary, texts of this length, and has these classes."""
        last = len(self._tokenizer) - 1
        tokens = TokenizedTexts([[last] * self.max_length], [[0] * self.max_length], 0)
        try:
            width = self._chances(tokens, np.arange(1)).shape[-1]
        except (IndexError, RuntimeError, TypeError, AttributeError, AssertionError) as error:
            raise NasplugError(
                f"the network must take {self.max_length} tokens of a vocabulary of {last + 1}, but: "
                f"{' '.join(str(error).split()):.100}"
            ) from None
        if width != len(self._labels):
            raise NasplugError(
                f"the labels must fit the weights, but there are {len(self._labels)} and the network has "
                f"{width} classes"
            )
