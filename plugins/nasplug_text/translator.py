"""What an exported translation network does: text in, text out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import torch
from torch import nn

from nasplug import Application, NasplugError, PositiveInt
from nasplug.contracts.errors import shortened
from nasplug.toolkit.sequences.tokens import BEGIN, END
from nasplug_text.decoding import decode
from nasplug_text.files import tidy
from nasplug_text.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@final
class Translator(Application):
    """Translates texts with a network of the task `translation`.

    info: as `Translation.deployment_info` wrote it, with `source_vocabulary` and `target_vocabulary`
    (the latter None where both are one) as `Vocabulary.to_text` gives them. source, target: the
    languages. The others are those of `Translation`, as it measured.

    >>> texts = nasplug.load("runs/mine/export/7").translate(["zwei hunde spielen im schnee"])
    """

    methods = ("predict", "translate")

    def __init__(
        self,
        network: nn.Module,
        info: Mapping[str, Any],
        source: str,
        target: str,
        beam: PositiveInt,
        length_penalty: float,
        max_length: PositiveInt,
        lowercase: bool,
    ) -> None:
        self.network = network
        self.info = info
        self.source = source
        self.target = target
        self.beam = beam
        self.length_penalty = length_penalty
        self.max_length = max_length
        self.lowercase = lowercase
        self._source = Vocabulary.from_text(info.get("source_vocabulary"))
        other = info.get("target_vocabulary")
        self._target = self._source if other is None else Vocabulary.from_text(other)
        self._check_fit()

    def translate(self, texts: Iterable[str]) -> list[str]:
        """The translation of each of `texts`, decoded with the beam that was exported."""
        given = texts if isinstance(texts, str) else list(texts)
        if isinstance(given, str) or not all(isinstance(text, str) for text in given):
            raise NasplugError(
                f"translate must be given a list of texts, but got {shortened(given)}"
            )
        lines = [tidy(text.lower() if self.lowercase else text) for text in given]
        sources = self._source.encode(lines)
        if cut := sum(len(source) > self.max_length for source in sources):
            log.warning("%d texts have more than %d tokens, and are cut", cut, self.max_length)
        found = decode(self.network, sources, self.beam, self.length_penalty, self.max_length)
        answers = self._target.decode(found)
        return [answer if line else "" for answer, line in zip(answers, lines, strict=True)]

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The same."""
        return list(self.translate(inputs))

    @torch.no_grad()
    def _check_fit(self) -> None:
        """The network takes and gives tokens of these vocabularies."""
        source = torch.tensor([[len(self._source) - 1, END]])
        target = torch.tensor([[BEGIN, len(self._target) - 1]])
        try:
            outputs = self.network(source, target)
            width = outputs.shape[-1]
        except (IndexError, RuntimeError, TypeError, AttributeError) as error:
            raise NasplugError(
                f"the network must take tokens of its vocabularies, {len(self._source)} and "
                f"{len(self._target)}, but: {' '.join(str(error).split()):.100}"
            ) from None
        if width != len(self._target):
            raise NasplugError(
                f"the vocabulary must fit the weights, but it has {len(self._target)} tokens and the "
                f"network {width}"
            )
