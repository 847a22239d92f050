"""Trained weights, kept by everything that determines them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, final

import numpy as np
import safetensors.torch
import torch

from nasplug import NasplugError
from nasplug.toolkit.system.files import replacing
from nasplug.toolkit.system.locks import LockTimeout, exclusive_lock
from nasplug_training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

State = Mapping[str, torch.Tensor]
Train = Callable[[Checkpoint], tuple[State, Mapping[str, Any]]]


def versions() -> dict[str, str]:
    """Of the programs that a training's numbers depend on."""
    try:
        own = version("nasplug")
    except PackageNotFoundError:  # a checkout that is not installed
        own = "checkout"
    return {"nasplug": own, "torch": torch.__version__, "numpy": np.__version__}


@final
@dataclass(frozen=True)
class Kept:
    """Weights, and where they lie. `trained` is when that was ("2026-03-01 12:00"), or None where
    it was just now."""

    path: Path
    state: State
    trained: str | None


@final
class WeightCache:
    """A folder of KEY.safetensors, each with KEY.json, which says what it is in plain words.

    KEY is the SHA-256 of a description. A file is whole or absent; two processes that want the same
    one at once train it once. KEY.json holds the file's own SHA-256 too: weights that were damaged
    are never used, but trained anew.
    """

    def __init__(
        self, folder: Path, what: str = "super-network", level: int = logging.INFO
    ) -> None:
        """`what` is kept there, in words; `level` is that of the log's line for each."""
        self.folder = folder
        self.what = what
        self.level = level

    def obtain(self, description: Mapping[str, Any], train: Train) -> Kept:
        """The weights that `description` determines, made by `train` if they are not there.

        `train` gets the checkpoint to go on from, and returns the state dict and remarks for the JSON.
        """
        path = self._path(description)
        if isinstance(kept := _read(path), Kept):
            return kept
        with self._lock(path):
            if isinstance(kept := _read(path), Kept):
                return kept
            if kept:
                log.warning("%s is damaged (%s): the %s is trained anew", path, kept, self.what)
            checkpoint = Checkpoint(path.with_suffix(".checkpoint"))
            state, remarks = train(checkpoint)
            tensors = {
                name: value.detach().cpu().contiguous().clone() for name, value in state.items()
            }
            with self._writable():
                self._write(path, tensors, {**description, **remarks})
            checkpoint.remove()
        return Kept(path, tensors, None)

    def holds(self, description: Mapping[str, Any]) -> bool:
        """Whether there are weights of `description`."""
        return self._path(description).is_file()

    def _path(self, description: Mapping[str, Any]) -> Path:
        text = json.dumps(description, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """Held while training; it is the system's, so it ends with its process, however that ends."""
        lock = path.with_suffix(".lock")
        with ExitStack() as stack:
            with self._writable():
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(exclusive_lock(lock, wait=False))
                except LockTimeout:
                    log.info("another process trains this %s: waiting for it", self.what)
                    stack.enter_context(exclusive_lock(lock, wait=True))
            yield

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NasplugError(
                f"each trained {self.what} is kept in {self.folder}, which must be writable, but "
                f"{error}; name another folder with evaluator.cache=DIR"
            ) from None

    def _write(self, path: Path, state: State, remarks: Mapping[str, Any]) -> None:
        with replacing(path) as temporary:
            safetensors.torch.save_file(dict(state), temporary)
            about = {
                **remarks,
                "trained": datetime.now().astimezone().isoformat(timespec="seconds"),
                "sha256": hashlib.sha256(temporary.read_bytes()).hexdigest(),
            }
            with replacing(path.with_suffix(".json")) as described:
                described.write_text(json.dumps(about, indent=2) + "\n")
        log.log(self.level, "kept in %s", path)


def _read(path: Path) -> Kept | str | None:
    """The weights at `path`; what is wrong with them; or None where there are none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error.strerror)
    try:
        about = json.loads(path.with_suffix(".json").read_text())
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            return "it is not what was written"
        trained = datetime.fromisoformat(about["trained"]).strftime("%Y-%m-%d %H:%M")
        return Kept(path, safetensors.torch.load(content), trained)
    except Exception as error:  # whatever the text or the weights have become
        return f"what should describe it cannot be read, {type(error).__name__}"
