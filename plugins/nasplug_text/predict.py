"""mode=predict: what an exported network answers, whatever its application is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import nasplug
from nasplug import NasplugError
from nasplug.toolkit.system.files import replacing
from nasplug_text.files import raw_lines

AT_ONCE = 1000
"""Inputs that are answered before their answers are written."""


def main(cfg: Any) -> None:
    """Give each line of `cfg.input` to the network in `cfg.network`, and write an answer a line to
    standard output or the file `cfg.to`: text as it is (on one line), anything else as JSON."""
    if not cfg.network:
        raise NasplugError("mode=predict needs the folder of an exported network: network=FOLDER")
    if cfg.input is None or not str(cfg.input).strip():
        raise NasplugError(
            'mode=predict needs something to answer: input="a text", input=FILE of a line each, or '
            "input=- for standard input"
        )
    network: Any = nasplug.load(str(cfg.network), cfg.allow)
    if not hasattr(network, "predict"):
        raise NasplugError(
            f"the network in {cfg.network} must have an application, but its task names none; use "
            "nasplug.load from Python"
        )
    answers = _answers(network, _inputs(str(cfg.input)))
    if not cfg.to:
        for answer in answers:
            print(answer, flush=sys.stdout.isatty())
        return
    try:
        with replacing(Path(cfg.to)) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{answer}\n" for answer in answers)
    except OSError as error:
        raise NasplugError(f"{cfg.to} must be writable, but: {error.strerror}") from None
    print(cfg.to)


def _inputs(given: str) -> Iterator[str]:
    """The lines of standard input or of a file, else the text itself."""
    if given == "-":
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
        try:
            yield from (line.rstrip("\r\n") for line in sys.stdin)
        except UnicodeDecodeError as error:
            raise NasplugError(
                f"standard input must be text in UTF-8, but: {error.reason}"
            ) from None
    elif _is_file(given):
        yield from raw_lines(Path(given))
    else:
        yield given


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _answers(network: Any, inputs: Iterator[str]) -> Iterator[str]:
    while part := list(islice(inputs, AT_ONCE)):
        answers = network.predict(part)
        if len(answers) != len(part):
            raise NasplugError(
                f"predict must give an answer for each of {len(part)} inputs, but gave {len(answers)}"
            )
        for answer in answers:
            plain = isinstance(answer, str)
            yield " ".join(answer.split()) if plain else json.dumps(answer, ensure_ascii=False)
