"""A hash of values that are nested as batches and state dicts are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(*values: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of tensors and arrays by type, shape and content, of mappings,
    sequences and dataclasses of them, and of anything else by its `repr`, without the addresses of
    objects, which are others in every process. The order of a mapping counts.

    >>> fingerprint({"w": torch.zeros(2, 3)}, [1, "two"])
    """
    digest = hashlib.sha256()
    for value in values:
        _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        digest.update(f"mapping {len(value)};".encode())
        for key, part in value.items():
            _add(digest, key)
            _add(digest, part)
    elif isinstance(value, list | tuple):
        digest.update(f"sequence {len(value)};".encode())
        for part in value:
            _add(digest, part)
    elif is_dataclass(value) and not isinstance(value, type):
        _add(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        digest.update(f"{value.dtype} {tuple(value.shape)};".encode())
        digest.update(_content(value))
    else:
        text = ADDRESS.sub("", repr(value))
        digest.update(f"{type(value).__name__} {len(text)} {text};".encode())


def _content(value: Any) -> Any:
    """The bytes of a tensor (on any device, of any type) or of an array, in row-major order."""
    import numpy as np

    if hasattr(value, "detach"):
        import torch

        value = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    value = np.ascontiguousarray(value)
    return repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
