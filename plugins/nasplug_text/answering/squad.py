"""Reading questions in the format of SQuAD."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nasplug import NasplugError
from nasplug_text.answering.questions import Question, Questions
from nasplug_text.files import raw_lines
from nasplug_text.reading import LEAST, SPLITS, listed, matching, named_files

log = logging.getLogger(__name__)


def read(path: str) -> Questions:
    """The questions in `path`, a folder or the prefix of the names of files: train-v1.1.json,
    dev-v1.1.json (or val, validation), test.json; .gz too.

    SQuAD's format (Rajpurkar et al., EMNLP 2016): {"data": [{"paragraphs": [{"context": .., "qas":
    [{"id": .., "question": .., "answers": [{"text": .., "answer_start": ..}]}]}]}]}. Questions
    without an answer are left out, and counted.
    """
    place = Path(path).expanduser()
    names, found = named_files(place), {}
    for split, words in SPLITS.items():
        files = list(matching(names, words, "json").values())
        if len(files) > 1:
            log.warning("%s is read for %s, of %d files", files[0].name, split, len(files))
        if files:
            found[split] = _file(files[0])
    for split in ("train", "validation"):
        if split not in found:
            raise NasplugError(
                f"{path} must hold {split} data, {SPLITS[split][0]}.json, in SQuAD's format; it has "
                f"{listed(place)}"
            )
    if len(found["train"]) < LEAST:
        raise NasplugError(
            f"{path} must have at least {LEAST} training questions with an answer, but has "
            f"{len(found['train'])}"
        )
    return Questions(
        place.name or str(place), found["train"], found["validation"], found.get("test")
    )


def _file(file: Path) -> list[Question]:
    try:
        found = list(_questions(json.loads("\n".join(raw_lines(file))), file))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split()):.100}"
        raise NasplugError(f"{file} must be JSON in SQuAD's format, but: {reason}") from None
    kept = [question for question in found if question.answers]
    if not kept:
        raise NasplugError(f"{file} must have questions with answers, but has none")
    if len(kept) < len(found):
        log.warning(
            "%d questions of %s have no answer, and are left out", len(found) - len(kept), file
        )
    return kept


def _questions(told: Any, file: Path) -> Iterator[Question]:
    for article in told["data"]:
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            for asked in paragraph["qas"]:
                answers = [] if asked.get("is_impossible") else asked["answers"]
                pairs = [(a["text"], a["answer_start"]) for a in answers]
                for text, start in pairs:
                    if not text or context[start : start + len(text)] != text:
                        raise NasplugError(
                            f"an answer must be in its context where answer_start says, but in {file} that "
                            f"of the question {asked['question']!r:.60} is not: {text!r:.40} at {start}"
                        )
                texts, starts = (tuple(p[i] for p in pairs) for i in (0, 1))
                yield Question(asked["question"], context, texts, starts)
