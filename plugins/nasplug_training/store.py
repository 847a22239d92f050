"""Trained weights, kept by everything that determines them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, final

import safetensors.torch
import torch
from filelock import FileLock, Timeout

from nasplug import NasplugError
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.files import replacing

log = logging.getLogger(__name__)

State = Mapping[str, torch.Tensor]
Train = Callable[[Checkpoint], tuple[State, Mapping[str, Any]]]


def folder(cache: str | None, kind: str) -> Path:
    """The user's `cache`; None: $XDG_CACHE_HOME or ~/.cache, then nasplug/`kind`."""
    if cache:
        return Path(cache).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "nasplug" / kind


def versions() -> dict[str, str]:
    """Of the programs that a training's numbers depend on."""
    try:
        own = version("nasplug")
    except PackageNotFoundError:  # a checkout that is not installed
        own = "checkout"
    return {"nasplug": own, "torch": torch.__version__}


@final
class Store:
    """A folder of KEY.safetensors, each with KEY.json, which says what it is in plain words.

    KEY is the SHA-256 of a description. A file is whole or absent; two processes that want the same
    one at once train it once.
    """

    def __init__(
        self, folder: Path, what: str = "super-network", level: int = logging.INFO
    ) -> None:
        """`what` is kept there, in words; `level` is that of the log's line for each."""
        self.folder = folder
        self.what = what
        self.level = level

    def obtain(self, description: Mapping[str, Any], train: Train) -> Path:
        """The file of what `description` determines, made by `train` if it is not there.

        `train` gets the checkpoint to go on from, and returns the state dict and remarks for the JSON.
        """
        text = json.dumps(description, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        path = self.folder / f"{key}.safetensors"
        if path.exists():
            return path
        with self._lock(path):
            if not path.exists():
                checkpoint = Checkpoint(path.with_suffix(".checkpoint"))
                state, remarks = train(checkpoint)
                with self._writable():
                    self._write(path, state, {**description, **remarks})
                checkpoint.remove()
        return path

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """Held while training; it is the system's, so it ends with its process, however that ends."""
        lock = FileLock(path.with_suffix(".lock"))
        with self._writable():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("another process trains this %s: waiting for it", self.what)
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

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
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
        with replacing(path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(remarks, indent=2) + "\n")
        with replacing(path) as temporary:
            safetensors.torch.save_file(tensors, temporary)
        log.log(self.level, "kept in %s", path)
