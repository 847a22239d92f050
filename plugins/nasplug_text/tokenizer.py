"""Tokenizer: texts, or pairs of them, to the token ids that an encoder reads; learnt or given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from nasplug import NasplugError
from nasplug.contracts.types import IntArray
from nasplug_text.files import raw_lines

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""Of a learnt vocabulary, its first: padding, what is not in it, and what a text begins and ends with."""
INSIDE = "##"
"""What a token begins with that does not begin a word."""
FILES = ("tokenizer.json", "vocab.txt")
"""What a given tokenizer is called in its folder."""


@final
@dataclass(frozen=True)
class Window:
    """Token ids, the part of the pair that each token is of, and which characters of the second text it
    is, (length, 2): from, and to without; -1 where it is none of it."""

    ids: list[int]
    types: list[int]
    spans: IntArray


@final
class TextTokenizer:
    """A tokenizer of the library `tokenizers`, as the JSON that it writes.

    Special tokens written in a text, such as "[SEP]", are read as their characters.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __getstate__(self) -> dict[str, Any]:
        return {"text": self.text}

    def __len__(self) -> int:
        """Tokens, whose ids are below it."""
        return 1 + int(max(self._made.get_vocab(with_added_tokens=True).values()))

    @cached_property
    def _made(self) -> Any:
        made = Tokenizer.from_str(self.text)
        made.no_padding()
        made.encode_special_tokens = True
        return made

    @cached_property
    def padding(self) -> int:
        """The id that fills a batch on the right."""
        vocabulary = self._made.get_vocab(with_added_tokens=True)
        return next((vocabulary[t] for t in ("[PAD]", "<pad>") if t in vocabulary), 0)

    def encode(
        self, texts: Sequence[str], seconds: Sequence[str] | None, max_length: int
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of each text, special ones included, and which of its two parts each token is of,
        0 or 1.

        `seconds`: the second text of each pair. What has more than `max_length` tokens is cut, the
        longer part first. A text without tokens is one PADDING.
        """
        made, pair = self._made, seconds is not None
        least = made.num_special_tokens_to_add(pair) + 1 + pair
        if max_length < least:
            raise NasplugError(
                f"max_length must have room for the special tokens and a token of each text, {least}, but "
                f"got {max_length}"
            )
        made.enable_truncation(max_length)
        given: Any = texts if seconds is None else list(zip(texts, seconds, strict=True))
        found = made.encode_batch(given)
        ids = [encoding.ids or [self.padding] for encoding in found]
        return ids, [encoding.type_ids or [0] for encoding in found]

    def windows(
        self,
        pairs: Sequence[tuple[str, str]],
        max_length: int,
        overlap: int,
        max_question: int,
    ) -> list[list[Window]]:
        """Each pair of a question and a text as windows of at most `max_length` tokens: the question,
        cut to `max_question` tokens, and a part of the text, which has `overlap` tokens in common
        with the part before."""
        made = self._made
        least = max_question + made.num_special_tokens_to_add(True) + overlap + 1
        if max_length < least:
            raise NasplugError(
                f"max_length must have room for a question, the special tokens, the overlap and a token "
                f"more, {least}, but got {max_length}; lower task.max_question or task.overlap"
            )
        made.no_truncation()
        alone = made.encode_batch([question for question, _ in pairs], add_special_tokens=False)
        cut = [
            question
            if len(tokens) <= max_question
            else question[: tokens.offsets[max_question - 1][1]]
            for (question, _), tokens in zip(pairs, alone, strict=True)
        ]
        made.enable_truncation(max_length, stride=overlap, strategy="only_second")
        texts = [text for _, text in pairs]
        found = made.encode_batch(list(zip(cut, texts, strict=True)))
        return [[_window(part) for part in (whole, *whole.overflowing)] for whole in found]

    @classmethod
    def checked(cls, text: Any, what: str) -> TextTokenizer:
        """Of JSON that may be a stranger's; NasplugError, which names `what`, where it is none."""
        try:
            made = cls(text)
            made.encode([""], None, 64)
            if not len(made):
                raise ValueError("it has no tokens")
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NasplugError(
                f"{what} must be a tokenizer as the library tokenizers writes it, but: {reason:.150}"
            ) from None
        return made


def _window(encoding: Any) -> Window:
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    spans[np.array([part != 1 for part in encoding.sequence_ids], bool)] = -1
    return Window(encoding.ids, encoding.type_ids, spans)


def read_tokenizer(path: str, lowercase: bool | None) -> TextTokenizer:
    """The tokenizer of a file, tokenizer.json or vocab.txt (WordPiece, a token a line), or of a folder
    that has one of them.

    lowercase: whether texts are put in lower case first; None: as tokenizer.json says, for vocab.txt
    where none of its words has a capital letter.
    """
    place = Path(path).expanduser()
    files = [place / name for name in FILES] if place.is_dir() else [place]
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        raise NasplugError(
            f"task.vocabulary must be a number of tokens to learn, a tokenizer.json or vocab.txt, or a "
            f"folder with one, but there is no {' nor '.join(str(f) for f in files)}"
        )
    lines = raw_lines(file)
    if file.suffix == ".json":
        text = "\n".join(lines)
        TextTokenizer.checked(text, str(file))
        if lowercase is not None:
            made = Tokenizer.from_str(text)
            if lowercase:
                before = [made.normalizer] if made.normalizer is not None else []
                made.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
            text = made.to_str()
        return TextTokenizer(text)
    vocabulary = {token: i for i, token in enumerate(lines)}
    missing = [token for token in SPECIAL if token not in vocabulary]
    if missing or len(vocabulary) < len(lines):
        wrong = f"lacks {', '.join(missing)}" if missing else "has a token twice"
        raise NasplugError(
            f"{file} must have a token a line, {', '.join(SPECIAL)} among them, but it {wrong}"
        )
    if lowercase is None:
        lowercase = not any(t != t.lower() for t in vocabulary if not t.startswith("["))
    return _word_piece(vocabulary, lowercase)


def learn(texts: Iterable[str], size: int, lowercase: bool, exact: bool) -> TextTokenizer:
    """WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019) of at most `size` tokens, learnt from
    `texts`: the same texts give the same one.

    Every character of the texts is in it, as the beginning of a word and inside one. Fewer tokens
    than `size` are an error if `exact`.
    """
    lines = list(texts)
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    characters = sorted({c for line in lines for c in normalizer.normalize_str(line)} - {" "})
    # The trainer numbers what is inside words in the order of a hash map, which differs from run to
    # run, and the numbers decide between pairs that are equally frequent: numbered here, none is left.
    inside = [INSIDE + c for c in characters]
    least = len(SPECIAL) + 2 * len(characters)
    if size < least:
        raise NasplugError(
            f"the vocabulary must have at least {least} tokens, the special ones and each character of "
            f"the training data twice, but vocabulary is {size}; type task.vocabulary={least} or more"
        )
    learner = Tokenizer(models.WordPiece(unk_token=SPECIAL[1]))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[*SPECIAL, *inside], show_progress=False
    )
    learner.train_from_iterator(lines, trainer)
    vocabulary = learner.get_vocab()
    if len(vocabulary) < size and exact:
        raise NasplugError(
            f"the vocabulary must have at most {len(vocabulary)} tokens, which make every word of the "
            f"training data one token, but vocabulary is {size}; type task.vocabulary={len(vocabulary)} "
            "or less"
        )
    return _word_piece(vocabulary, lowercase)


def _word_piece(vocabulary: Mapping[str, int], lowercase: bool) -> TextTokenizer:
    """[CLS] text [SEP], or [CLS] text [SEP] second [SEP]."""
    unknown, begin, end = SPECIAL[1:]
    made = Tokenizer(models.WordPiece(vocab=dict(vocabulary), unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1",
        special_tokens=[(token, vocabulary[token]) for token in (begin, end)],
    )
    told = json.loads(made.to_str())
    told["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    return TextTokenizer(json.dumps(told, ensure_ascii=False))
