"""What the networks of the front reach on test data: measured when a search is over, and kept."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.task import Task
from nasplug.contracts.types import Architecture
from nasplug.toolkit.system.files import replacing
from nasplug.toolkit.system.progress import progress

if TYPE_CHECKING:
    from nasplug.app.run import Run

log = logging.getLogger("nasplug")
TESTED = "test.json"
SUFFIX = "_test"
"""What is put behind a metric's name where its value is on test data."""
PAUSE = 2.0
"""Seconds between two updates of the progress, at least."""


@final
class Tested:
    """Values on test data by architecture, kept in a file beside the ledger, which never holds them: so
    no strategy and no resumed search can see any.

    The file maps an architecture, as `front.csv` writes it, to its values:
    {"[1, 0, 2]": {"top1": 97.2}}. What it holds is of no use to a search, so a damaged one is a
    warning, and is made anew when the search's command is typed again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[Architecture, dict[str, float]] | None = None
        self.changes = 0
        """How often something was added: tells whether what was made of it is still right."""

    @property
    def _values(self) -> dict[Architecture, dict[str, float]]:
        if self._found is None:
            self._found = _read(self._path) if self._path and self._path.is_file() else {}
        return self._found

    def __contains__(self, arch: Architecture) -> bool:
        return arch in self._values

    def values(self, arch: Architecture) -> Mapping[str, float]:
        """Metric to value of one that was tested, else nothing."""
        return self._values.get(arch, {})

    def columns(
        self, metrics: Sequence[str], archs: Iterable[Architecture]
    ) -> dict[str, dict[Architecture, float]]:
        """METRIC_test to what each of `archs` has there; a name that is a metric's already is left out."""
        known = {arch: self.values(arch) for arch in archs if arch in self}
        return {
            name + SUFFIX: {arch: found[name] for arch, found in known.items() if name in found}
            for name in metrics
            if name + SUFFIX not in metrics and any(name in found for found in known.values())
        }

    def add(self, arch: Architecture, values: Mapping[str, float]) -> None:
        """One more, on the disk at once."""
        self._values[arch] = dict(values)
        self.changes += 1
        if self._path is not None:
            text = {json.dumps(list(arch)): found for arch, found in self._values.items()}
            with replacing(self._path) as temporary:
                temporary.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[Architecture, dict[str, float]]:
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        return {
            tuple(int(i) for i in json.loads(arch)): {str(n): float(v) for n, v in found.items()}
            for arch, found in text.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        log.warning("%s is damaged (%.100s), so no figure of it is shown", path, reason)
        return {}


def add_test_figures(run: Run) -> None:
    """Measure what the networks on `run`'s front reach on test data, those that are not yet known.

    A network that cannot be tested is told, and the others are tested all the same.
    """
    task = run.problem.task
    if task is not None and type(task).test_quality is Task.test_quality:
        return
    left = [arch for arch in run.front_architectures() if arch not in run.tested]
    failed: list[str] = []
    try:
        values = _attempt(run, left[0], failed) if left else {}
        if values == {}:
            return  # nothing is left, or the task has no test data, nor for any other
        with progress("testing the front", len(left)) as bar:
            for steps, arch in _paced(left):
                if arch != left[0]:
                    values = _attempt(run, arch, failed)
                if values:
                    run.tested.add(arch, values)
                bar.advance(steps)
    except NasplugError as error:  # holds for all of them
        log.warning("the front is not tested: %s", error)
    if failed:
        log.warning(
            "%d of %d networks of the front could not be tested: %s",
            *(len(failed), len(left), failed[0]),
        )


def _attempt(run: Run, arch: Architecture, failed: list[str]) -> dict[str, float] | None:
    """Its figures; None where a network or a task raises an error, whose reason joins `failed`."""
    try:
        return figures(run, arch)
    except NasplugError:
        raise
    except (Exception, SystemExit) as error:  # whatever a network or a task makes of it
        failed.append(_reason(error))
        return None


def _paced(archs: Sequence[Architecture]) -> Iterator[tuple[int, Architecture]]:
    """Each with the steps to show once it is done: what is quick is shown as one."""
    done, shown = 0, time.monotonic()
    for i, arch in enumerate(archs, 1):
        due = i == len(archs) or time.monotonic() - shown > PAUSE
        yield (i - done if due else 0), arch
        if due:
            done, shown = i, time.monotonic()


def figures(run: Run, arch: Architecture) -> dict[str, float]:
    """Metric to value on test data, measured now; none where the task has none."""
    found: Any = run.evaluator.test_quality(arch, run.columns)
    return {name: float(found[name]) for name in run.columns if name in found}


def known_or_measured(run: Run, arch: Architecture, measure: bool) -> Mapping[str, float]:
    """Those that are known, else measured now if `measure`; none, and a line, where that fails."""
    if arch in run.tested or not measure:
        return _finite(run.tested.values(arch))
    try:
        return _finite(figures(run, arch))
    except Exception as error:  # a figure less is no reason to give no network
        log.warning("the network is not tested: %s", _reason(error))
        return {}


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _reason(error: BaseException) -> str:
    reason = " ".join(str(error).split())
    return reason if isinstance(error, NasplugError) else f"{type(error).__name__}: {reason:.200}"
