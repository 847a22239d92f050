"""Vocabulary: text to token ids and back, learnt from the training data by byte-pair encoding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, final

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from nasplug import NasplugError
from nasplug.toolkit.sequences.tokens import SPECIAL

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for a space within tokens, as in SentencePiece (Kudo and Richardson 2018)."""
LARGEST = 2**20


@final
class Vocabulary:
    """Sub-words (Sennrich et al. 2016): `tokens` by id, the special ones first, and the `merges` that
    make them, in order.

    `decode(encode(text)) == text` for every text of characters that were in the training data; of
    others UNKNOWN is left, which is written as nothing. A `SPACE` character is taken for a space.
    """

    def __init__(self, tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        self.tokens = list(tokens)
        self.merges = [(left, right) for left, right in merges]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getstate__(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "merges": self.merges}

    @cached_property
    def _tokenizer(self) -> Any:
        """Without special tokens of its own: "</s>" in a text is read as its characters."""
        ids = {token: i for i, token in enumerate(self.tokens)}
        made = Tokenizer(models.BPE(vocab=ids, merges=self.merges, unk_token=SPECIAL[3]))
        made.pre_tokenizer = _pre_tokenizer()
        return made

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without BEGIN and END."""
        found = self._tokenizer.encode_batch([f" {t}" for t in texts], add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def decode(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """The text of each sequence of token ids; special ones are left out."""
        first = len(SPECIAL)
        texts = ("".join(self.tokens[i] for i in ids if i >= first) for ids in sequences)
        return [text.replace(SPACE, " ").removeprefix(" ") for text in texts]

    def to_text(self) -> str:
        """JSON, from which `from_text` makes an equal vocabulary."""
        return json.dumps({"tokens": self.tokens, "merges": self.merges}, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: Any) -> Vocabulary:
        """What `to_text` wrote; NasplugError where it is anything else."""
        try:
            told = json.loads(text)
            tokens, merges = told["tokens"], [(left, right) for left, right in told["merges"]]
            words = [*tokens, *(word for pair in merges for word in pair)]
            if not isinstance(tokens, list) or not all(isinstance(word, str) for word in words):
                raise TypeError("tokens and merges must be text")
            if tuple(tokens[: len(SPECIAL)]) != SPECIAL or len(set(tokens)) < len(tokens):
                raise ValueError(f"tokens must differ, and begin with {' '.join(SPECIAL)}")
            if len(tokens) > LARGEST:
                raise ValueError(f"there are more than {LARGEST} tokens")
            made = cls(tokens, merges)
            made.encode([""])
        except Exception as error:  # also what the library makes of merges without a token
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NasplugError(
                f"a vocabulary must be what nasplug wrote, but: {reason:.150}"
            ) from None
        return made


def learn(texts: Iterable[str], size: int, exact: bool, what: str) -> Vocabulary:
    """The vocabulary of `size` tokens that byte-pair encoding makes of `texts`; the same texts give
    the same one. `what` names it in errors.

    The four special tokens and every character of the texts are in it; a smaller `size` is an error.
    Where all words are whole tokens before `size` is reached, that is an error too if `exact`.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[3]))
    tokenizer.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator((f" {text}" for text in texts), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    made = Vocabulary(tokens, [tuple(pair) for pair in model["merges"]])
    if len(made) > size:
        raise NasplugError(
            f"{what} must have at least {len(made)} tokens, the special ones and each character of the "
            f"training data, but vocabulary is {size}; type task.vocabulary={len(made)} or more"
        )
    if len(made) < size and exact:
        raise NasplugError(
            f"{what} must have at most {len(made)} tokens, which make every word of the training data "
            f"one token, but vocabulary is {size}; type task.vocabulary={len(made)} or less"
        )
    return made


def _pre_tokenizer() -> Any:
    return pre_tokenizers.Metaspace(replacement=SPACE)
