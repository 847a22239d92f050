"""Scores kept on disk, so that a pool of architectures is scored once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, final

from nasplug import NasplugError, describe
from nasplug.contracts.types import Architecture


def what_is(part: Any) -> dict[str, Any]:
    """What would build `part` again, and a mark of its source: a score of other code is another."""
    try:
        source = inspect.getsource(inspect.getmodule(type(part)) or type(part))
    except (OSError, TypeError):  # typed in, not written in a file
        source = ""
    return {**describe(part), "source": hashlib.sha256(source.encode()).hexdigest()[:12]}


@final
class ScoreCache:
    """Scores of one proxy in one situation.

    In `folder` a file of JSON lines, named by the SHA-256 of `situation`, which is its first line;
    then [architecture, score or null] as they are made. What a killed process left half written is
    passed over, and two processes may write at once. Without a folder, memory alone.
    """

    def __init__(self, folder: Path | None, situation: Mapping[str, Any]) -> None:
        self._head = json.dumps(situation, sort_keys=True)
        name = hashlib.sha256(self._head.encode()).hexdigest()
        self.path = folder and folder / f"{name}.jsonl"

    def __contains__(self, arch: Architecture) -> bool:
        return arch in self._scores

    def __getitem__(self, arch: Architecture) -> float:
        """The score; NaN where the network has none."""
        return self._scores[arch]

    def add(self, arch: Architecture, score: float) -> None:
        """One more score."""
        self._scores[arch] = score
        if self.path is None:
            return
        line = json.dumps([list(arch), score if score == score else None])
        try:
            with self.path.open("a+b") as file:
                start = b"\n" if file.seek(0, os.SEEK_END) else self._head.encode() + b"\n"
                file.write(start + line.encode())
        except OSError as error:
            raise self._unwritable(error) from None

    @cached_property
    def _scores(self) -> dict[Architecture, float]:
        known: dict[Architecture, float] = {}
        if self.path is None:
            return known
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text().splitlines() if self.path.exists() else []
        except OSError as error:
            raise self._unwritable(error) from None
        for line in lines[1:]:
            try:
                genes, score = json.loads(line)
                known[tuple(genes)] = float("nan") if score is None else float(score)
            except (TypeError, ValueError):  # half a line
                continue
        return known

    def _unwritable(self, error: OSError) -> NasplugError:
        return NasplugError(
            f"scores are kept in {self.path and self.path.parent}, which must be writable, but "
            f"{error.strerror or error}; name another folder with evaluators.proxies.cache=DIR, or "
            "keep none: evaluators.proxies.cache=memory"
        )
