"""Where a training that was stopped goes on."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from pathlib import Path
from typing import Any, final

import torch

from nasplug.toolkit.system.files import replacing

log = logging.getLogger(__name__)
DIGEST = hashlib.sha256().digest_size


@final
class Checkpoint:
    """The state of a training at the end of an epoch, in one file, written whole or not at all: the
    SHA-256 of what follows, which torch.save wrote. A file that was damaged is not gone on from.

    Order of calls: `load` once, `save` after every epoch (it writes at most every `interval`
    seconds), `remove` when the training is over.
    """

    def __init__(self, path: Path, interval: float = 60.0) -> None:
        self.path = path
        self.interval = interval
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where there is nothing, or nothing that can be read."""
        try:
            content = memoryview(self.path.read_bytes())
            if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
                raise ValueError("it is damaged")
            state: dict[str, Any] = torch.load(
                io.BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True
            )
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever half a file makes the unpickler raise
            log.warning("cannot read %s (%s): the training begins anew", self.path, error)
            return None
        log.info("going on from epoch %d, saved in %s", state["epoch"], self.path)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`, of numbers and tensors, if the last time was long enough ago."""
        if time.monotonic() - self._written >= self.interval:
            try:
                buffer = io.BytesIO()
                torch.save(state, buffer)
                with replacing(self.path) as temporary, open(temporary, "wb") as file:
                    file.write(hashlib.sha256(buffer.getbuffer()).digest())
                    file.write(buffer.getbuffer())
            except (OSError, RuntimeError) as error:  # a full disk: torch raises either
                log.warning("cannot write %s (%s): the training goes on without", self.path, error)
            self._written = time.monotonic()

    def remove(self) -> None:
        """Not needed any more."""
        self.path.unlink(missing_ok=True)
