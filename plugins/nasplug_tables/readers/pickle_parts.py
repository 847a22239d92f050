"""What a pickle says of objects, built again from checked parts: no class takes state from a file.

A pickle names a class, calls it, and sets its state. numpy's own classes believe what they are told:
a `dtype` with other flags reads bytes as pointers. So each has a stand-in here, which never leaves
the machine that reads: a container that would hold one is refused.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nasplug import NasplugError

Array = npt.NDArray[Any]

MODULES = {
    "builtins": ("list", "dict", "set", "frozenset", "int", "float", "bytes", "bytearray"),
    "collections": ("OrderedDict", "defaultdict"),
    "_codecs": ("encode",),
    "numpy": ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar"),
}
"""What a pickle may name, by module."""

HOMES = {
    "__builtin__": "builtins",  # of Python 2, and of protocol 2
    "numpy.core.multiarray": "numpy",
    "numpy._core.multiarray": "numpy",
    "numpy.core.numeric": "numpy",
    "numpy._core.numeric": "numpy",
}
"""Other modules in which the same parts are or have been."""

SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
"""Bytes of an item, by kind; those of S and U (4 bytes a character) come with the name."""

LONGEST_TEXT = 1 << 20
MOST_DIMENSIONS = 32
LAST_CHARACTER = 0x10FFFF


@final
class Name:
    """A module's class or function that a pickle names, never the thing itself."""

    __slots__ = ("name",)

    def __init__(self, module: Any, name: Any) -> None:
        home = HOMES.get(module, module) if isinstance(module, str) else None
        if not isinstance(name, str) or name not in MODULES.get(home or "", ()):
            raise refused(f"names {_shown(module)}.{_shown(name)}")
        self.name = name


@final
class Dtype:
    """The type of an array's items: b, i, u, f, S, U, or O for those that are kept in lists."""

    __slots__ = ("code", "order", "size")

    def __init__(self, code: Any) -> None:
        found = re.fullmatch(r"([biufSUO])(\d{1,7})", code) if isinstance(code, str) else None
        require(found is not None, "an array's items must be numbers or texts", code)
        assert found is not None
        kind, number = found[1], int(found[2])
        if kind in SIZES:
            require(number in SIZES[kind], "an array's items must have a usual size", code)
        elif kind in "SU":
            require(1 <= number <= LONGEST_TEXT, "an array's texts must be short", code)
        self.code: str = found[0]
        self.order = "|"
        self.size = 4 * number if kind == "U" else number

    @property
    def is_object(self) -> bool:
        """Whether the items are Python objects."""
        return self.code[0] == "O"

    @property
    def real(self) -> np.dtype[Any]:
        """numpy's own."""
        return np.dtype("O") if self.is_object else np.dtype(f"{self.order}{self.code}")

    def set_state(self, state: Any) -> None:
        """Take the byte order, and refuse fields, sub-arrays, metadata and sizes of its own."""
        fits = type(state) is tuple and len(state) in (8, 9) and state[0] in (3, 4)
        require(fits, "a type's state must be numpy's", type(state).__name__)
        order, parts, size, metadata = state[1], state[2:5], state[5], state[8:]
        require(order in ("<", ">", "|"), "a byte order must be <, > or |", order)
        require(
            all(part is None for part in (*parts, *metadata)),
            "an array's items must be plain",
            "fields, sub-arrays or metadata",
        )
        require(size in (-1, self.size), "an item must have its type's size", size)
        self.order = order


@final
class Unbuilt:
    """An array that has been named but not filled yet; `places` in the memo are to hold it."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        self.places: list[int] = []

    def build(self, state: Any) -> Array:
        """The array of numpy's state: (version, shape, type, whether by columns, items)."""
        fits = isinstance(state, tuple) and len(state) == 5 and state[0] == 1
        require(fits, "an array's state must be numpy's", type(state).__name__)
        _, shape, dtype, by_columns, items = state
        return array(items, dtype, shape, "F" if by_columns is True else "C")


@final
class Arguments(tuple[Any, ...]):
    """A tuple that holds a stand-in, and so is one."""

    __slots__ = ()


STAND_INS = frozenset((Name, Dtype, Unbuilt, Arguments))
SCALARS = frozenset((str, bytes, int, float, bool, type(None)))
LONGEST_KEY = 16
"""Parts of a tuple that is a key."""


def refused(what: str) -> NasplugError:
    """The error for a pickle that `what` may run code."""
    return NasplugError(
        "a benchmark's pickle must hold numbers, texts, containers and numpy arrays alone, since any "
        f"other may run code when it is read, but this one {what}; read it where you trust it, and "
        "write its numbers to a CSV file"
    )


def _shown(name: Any) -> str:
    return ascii(name)[1:-1][:80] if isinstance(name, str) else type(name).__name__


def require(holds: bool, what: str, got: object) -> None:
    """Raise ValueError, in which `got` is cut short, unless what must hold does."""
    if not holds:
        shown = ascii(got) if type(got) in SCALARS else type(got).__name__
        raise ValueError(f"{what}, but got {shown:.80}")


def plain(values: Iterable[Any]) -> None:
    """Raise where a stand-in is about to become data."""
    if not STAND_INS.isdisjoint(map(type, values)):
        raise ValueError("a container must hold data alone, but one holds a class or its parts")


def hashable(keys: list[Any]) -> None:
    """Raise where a key is no text, number or short flat tuple of such: others may take for ever to
    hash, since a tuple of tuples of one another has no bound."""
    if SCALARS.issuperset(map(type, keys)):
        return
    for key in keys:
        parts = key if type(key) is tuple else (key,)
        fits = len(parts) <= LONGEST_KEY and SCALARS.issuperset(map(type, parts))
        require(fits or isinstance(key, np.generic), "a key must be simple", type(key).__name__)


def array(items: Any, dtype: Any, shape: Any, order: str) -> Array:
    """An array of `shape` from the bytes of all its items, or from a list of objects."""
    require(isinstance(dtype, Dtype), "an array must have a type", type(dtype).__name__)
    whole = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
    require(whole and len(shape) <= MOST_DIMENSIONS, "a shape must be of whole numbers", shape)
    count = math.prod(shape)
    if dtype.is_object:
        require(type(items) is list, "an array of objects must be a list", type(items).__name__)
        require(len(items) == count, f"an array must have {count} items", len(items))
        objects = np.empty(count, dtype=object)
        for i, item in enumerate(items):
            objects[i] = item
        objects = objects.reshape(shape)
        return np.asfortranarray(objects) if order == "F" else objects
    raw = items.encode("latin1") if isinstance(items, str) else items
    require(isinstance(raw, bytes | bytearray), "an array must be bytes", type(items).__name__)
    expected = count * dtype.size
    require(len(raw) == expected, f"an array must have {expected} bytes", len(raw))
    if not count:
        return np.empty(shape, dtype.real)
    flat = np.frombuffer(raw, dtype.real)
    if dtype.real.kind == "b":
        flat = np.frombuffer(raw, np.uint8) != 0  # a boolean is 0 or 1, whatever the byte
    if dtype.real.kind == "U":
        highest = int(flat.view(np.dtype(f"{dtype.order}u4")).max())
        require(highest <= LAST_CHARACTER, "a text must be of characters", highest)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy(order="K")


# ---- what may be called -------------------------------------------------------------------------


def _dtype(code: Any, align: Any = False, copy: Any = False) -> Dtype:
    return Dtype(code)


def _reconstruct(kind: Any, shape: Any, code: Any) -> Unbuilt:
    require(named(kind, "ndarray"), "an array must be an ndarray", type(kind).__name__)
    return Unbuilt()  # the state that follows says its shape and type


def _scalar(dtype: Any, raw: Any) -> Any:
    fits = isinstance(dtype, Dtype) and not dtype.is_object
    require(fits, "a number must have a type of numbers or texts", type(dtype).__name__)
    return array(raw, dtype, (), "C")[()]


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    require(order in ("C", "F", "K", "A"), "an order must be C, F, K or A", order)
    found = array(raw, dtype, shape, "F" if order == "F" else "C")
    require(not dtype.is_object, "an array of objects must be a list", "bytes")
    return found.transpose(axes) if order == "K" and axes is not None else found


def _bytes(text: Any, encoding: Any) -> bytes:
    fits = isinstance(text, str) and encoding in ("latin1", "latin-1")
    require(fits, "bytes must be written in latin1", encoding)
    return bytes(text, "latin1")


def _bytearray(content: Any = b"", encoding: Any = None) -> bytearray:
    return bytearray(content if isinstance(content, bytes) else _bytes(content, encoding))


def _no_bytes() -> bytes:
    return b""


def _set(items: Any) -> set[Any]:
    require(type(items) is list, "a set must be made of a list", type(items).__name__)
    hashable(items)
    return set(items)


def _frozenset(items: Any) -> frozenset[Any]:
    return frozenset(_set(items))


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    fits = type(pairs) in (list, tuple)
    fits = fits and all(type(p) in (list, tuple) and len(p) == 2 for p in pairs)
    require(fits, "an OrderedDict must be made of pairs", type(pairs).__name__)
    hashable([key for key, _ in pairs])
    return OrderedDict(pairs)


def _defaultdict(factory: Any = None) -> dict[Any, Any]:
    known = factory is None or (isinstance(factory, Name) and factory.name in MODULES["builtins"])
    require(known, "a defaultdict must make containers or numbers", type(factory).__name__)
    return {}


CALLS: dict[str, Callable[..., Any]] = {
    "dtype": _dtype,
    "_reconstruct": _reconstruct,
    "scalar": _scalar,
    "_frombuffer": _frombuffer,
    "encode": _bytes,
    "bytes": _no_bytes,
    "bytearray": _bytearray,
    "set": _set,
    "frozenset": _frozenset,
    "OrderedDict": _ordered,
    "defaultdict": _defaultdict,
}
"""By name what builds the same as the thing of that name would, of arguments that it checks."""


def named(value: Any, name: str) -> bool:
    """Whether `value` stands for the thing of that name."""
    return isinstance(value, Name) and value.name == name


def call(function: Any, arguments: Any) -> Any:
    """What a call gives that a pickle asks for."""
    known = isinstance(function, Name) and function.name in CALLS and isinstance(arguments, tuple)
    require(known, "only the parts of arrays and containers are called", type(function).__name__)
    return CALLS[function.name](*arguments)
