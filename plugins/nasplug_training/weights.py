"""Weights from elsewhere, in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from nasplug import NasplugError

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
