"""Turns what goes wrong with one network into a Failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from nasplug import Failure, Measurement, NasplugError
from nasplug.contracts.types import Outcome


def guarded(quality: Callable[[], Mapping[str, float]]) -> Outcome:
    """The values of `quality`, and the seconds it took; what it raises fails the architecture, but
    for a NasplugError: that is a mistake in the configuration."""
    start = time.perf_counter()
    try:
        values = quality()
    except NasplugError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Failure(reason, time.perf_counter() - start)
    return Measurement(values, time.perf_counter() - start)
