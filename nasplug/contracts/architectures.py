"""Checks architectures where a caller hands them to a space, before any method works with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.contracts.errors import NasplugError, shortened
from nasplug.contracts.types import IntArray

if TYPE_CHECKING:
    from nasplug.contracts.space import SearchSpace

TAKE_ONE = ("build", "config", "options", "neighbours")
TAKE_MANY = ("active", "canonical", "features", "costs", "is_valid")
"""Methods of a space whose first argument is one architecture, or many."""


def as_genes(space: SearchSpace, archs: Any) -> IntArray:
    """Many architectures as an array of shape (n, v), every number the index of an option.

    Microseconds for an array, a few more for tuples; a strategy's batches are checked by it.
    """
    counts = space.option_counts
    try:
        genes = np.asarray(archs)
    except (ValueError, TypeError):  # of different lengths
        raise _error(space, archs) from None
    if not genes.size:
        genes = genes.reshape(-1, len(counts)).astype(np.int64)
    if genes.ndim != 2 or genes.dtype.kind not in "iu" or genes.shape[1] != len(counts):
        raise _error(space, archs)
    genes = genes.astype(np.int64, copy=False)
    if (genes.view(np.uint64) >= counts.view(np.uint64)).any():  # negative ones as well
        raise _error(space, archs)
    return genes


def as_architecture(space: SearchSpace, arch: Any) -> tuple[int, ...]:
    """One architecture as a tuple of int, every one the index of an option."""
    if isinstance(arch, np.ndarray) and arch.ndim == 1:
        arch = arch.tolist()
    counts = space.option_counts.tolist()
    if not isinstance(arch, tuple | list) or len(arch) != len(counts):
        raise _error(space, arch)
    plain = True
    for gene, count in zip(arch, counts, strict=True):
        if type(gene) is not int:
            plain = False
            if not isinstance(gene, np.integer):
                raise _error(space, arch)
        if not 0 <= gene < count:
            raise _error(space, arch)
    return arch if plain and isinstance(arch, tuple) else tuple(map(int, arch))


def checked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A space's own `method`, which gets only what the space has."""

    @wraps(method)
    def call(self: SearchSpace, *args: Any, **kwargs: Any) -> Any:
        if args and name in TAKE_ONE:
            args = (as_architecture(self, args[0]), *args[1:])
        elif args:
            as_genes(self, args[0])
        return method(self, *args, **kwargs)

    return call


def _error(space: SearchSpace, got: Any) -> NasplugError:
    """What is wrong with the first architecture that is."""
    counts, name = space.option_counts.tolist(), type(space).__name__
    example = "space.arch({'NAME': VALUE, ..}) makes one of values"
    if isinstance(got, np.ndarray):
        got = got.tolist()
    rows = got if isinstance(got, tuple | list) else []
    one = not any(isinstance(row, tuple | list | np.ndarray) for row in rows)
    for row in [rows] if rows and one else rows:
        if not isinstance(row, tuple | list | np.ndarray):
            break
        for variable, gene, count in zip(space.variables, row, counts, strict=False):
            whole = isinstance(gene, int | np.integer) and not isinstance(gene, bool)
            if not whole or not 0 <= gene < count:
                return NasplugError(
                    f"{variable.name} of an architecture of {name} must be the index of one of its "
                    f"{count} options, 0 to {count - 1}, but got {shortened(gene)}"
                )
        if len(row) != len(counts):
            return NasplugError(
                f"an architecture of {name} must have {len(counts)} option indices, but got "
                f"{len(row)}; {example}"
            )
    return NasplugError(
        f"an architecture of {name} must be a tuple of {len(counts)} option indices, and many a list "
        f"of such tuples or an array of whole numbers, but got {shortened(got)}; {example}"
    )
