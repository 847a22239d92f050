"""Reads pickles of plain data and nothing else, since a pickle may run any code when it is read."""

from __future__ import annotations

import bz2
import codecs
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from nasplug import NasplugError

_ARRAY = np.zeros(1)

PLAIN: dict[str, dict[str, Any]] = {
    "builtins": {"list": list, "dict": dict, "set": set, "int": int, "float": float},
    "collections": {"OrderedDict": OrderedDict, "defaultdict": defaultdict},
    "_codecs": {"encode": codecs.encode},
    "numpy": {
        "ndarray": np.ndarray,
        "dtype": np.dtype,
        "_reconstruct": _ARRAY.__reduce__()[0],
        "_frombuffer": _ARRAY.__reduce_ex__(5)[0],
        "scalar": _ARRAY[0].__reduce__()[0],
    },
}
"""By the first part of a module's name what may be called: containers, and the parts of arrays, which
numpy has had in several modules."""

BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
)


def load(path: Path) -> Any:
    """What the first pickle in the file is, packed by bz2 or not.

    Raises NasplugError where the file is no pickle, or holds anything but numbers, texts,
    containers and numpy arrays; nothing of that is run.
    """
    opened = bz2.open if path.suffix in (".pbz2", ".bz2") else open
    try:
        with opened(path, "rb") as file:
            return _Plain(file, encoding="latin1").load()
    except NasplugError as error:
        raise NasplugError(f"{path}: {error}") from None
    except BROKEN as error:
        raise NasplugError(f"{path} must be a pickle, but cannot be read: {error}") from None


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = PLAIN.get(module.split(".")[0], {})
        if name not in known:
            raise NasplugError(
                "a benchmark's pickle must hold numbers, texts, containers and numpy arrays alone, "
                f"since any other may run code when it is read, but this one names {module}.{name}; "
                "read it where you trust it, and write its numbers to a CSV file"
            )
        return known[name]
