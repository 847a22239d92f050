"""Weights from elsewhere: a file of the user's, or the published ones."""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from nasplug import NasplugError
from nasplug.toolkit.system.files import replacing

log = logging.getLogger(__name__)
TIMEOUT = 30.0
SHOWN = 3
"""How many of each kind of differing keys an error names."""


def read(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file of safetensors, or of torch.save, where it may be under `state_dict`."""
    if not path.is_file():
        raise NasplugError(f"weights must be a file, but {path} does not exist; give weights=PATH")
    try:
        if path.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of another kind makes the readers raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise NasplugError(
            f"weights must be a state dict saved by torch.save or safetensors, but {path} is not: {reason}"
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(v, torch.Tensor) for v in state.values()
    ):
        raise NasplugError(f"weights must be a state dict (name to tensor), but {path} holds none")
    return dict(state)


def load(model: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Load `state` strictly; an error names the first keys that differ."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise NasplugError(
            f"weights must fit {type(model).__name__}, but {source} does not: {_differences(str(error))}"
        ) from None


def _differences(message: str) -> str:
    """Torch's account of all keys that differ, cut to the first of each kind."""
    lines = [" ".join(line.split()) for line in message.splitlines()[1:] if line.strip()]
    shapes = [line for line in lines if line.startswith("size mismatch")]
    lists = [line for line in lines if not line.startswith("size mismatch")]
    parts = []
    for line in lists:
        kind, _, keys = line.partition(": ")
        names = keys.rstrip(". ").split(", ")
        parts.append(f"{kind}: {', '.join(names[:SHOWN])}{_more(names)}")
    if shapes:
        parts.append("; ".join(line.rstrip(".") for line in shapes[:SHOWN]) + _more(shapes))
    return ". ".join(parts)


def _more(found: list[str]) -> str:
    return f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""


def download(address: str, folder: Path) -> Path:
    """The file at `address`, fetched into `folder` unless it is there already, as it was fetched.

    Its SHA-256 lies beside; a file that was damaged since is fetched anew.
    """
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    path = folder / f"{digest}-{address.rsplit('/', 1)[-1]}"
    mark = path.with_name(f"{path.name}.sha256")
    try:
        if path.exists():
            if not mark.exists():  # fetched before there were marks
                with suppress(OSError):  # a folder that is only to be read
                    _note(mark, path)
                return path
            if mark.read_text().split() == [_sha256(path)]:
                return path
            log.warning("%s is damaged (it is not what was fetched): it is fetched anew", path)
        folder.mkdir(parents=True, exist_ok=True)
        mark.unlink(missing_ok=True)
        with (
            urllib.request.urlopen(address, timeout=TIMEOUT) as answer,
            replacing(path) as temporary,
        ):
            with open(temporary, "wb") as file:
                shutil.copyfileobj(answer, file)
            _note(mark, temporary)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NasplugError(
            f"the published weights could not be fetched from {address} ({error}); fetch that file "
            "elsewhere and give it with weights=PATH"
        ) from None
    return path


def _note(mark: Path, path: Path) -> None:
    with replacing(mark) as temporary:
        temporary.write_text(_sha256(path) + "\n")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
