"""Shows how far long work is: a live line in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger("nasplug")
LINES = 10
"""How many log lines a piece of work gets where there is no terminal."""


class Bar(Protocol):
    """What `progress` hands out."""

    def advance(self, steps: int = 1, **fields: object) -> None:
        """`steps` more are done; `fields` are shown beside, and stay until given anew."""


@contextmanager
def progress(description: str, total: int) -> Iterator[Bar]:
    """Show `total` steps of work; silent where the log level of "nasplug" is above INFO.

    >>> with progress("training", total=100) as bar:
    ...     bar.advance(loss="0.31")
    """
    if log.isEnabledFor(logging.INFO) and sys.stderr.isatty():
        with _terminal(description, total) as bar:
            yield bar
    else:
        lines = _Lines(description, total)
        try:
            yield lines
        finally:
            lines.end()


@contextmanager
def _terminal(description: str, total: int) -> Iterator[Bar]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=24),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[fields]}"),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as display:
        yield _Live(display, display.add_task(description, total=total, fields=""))


class _Live:
    def __init__(self, display: object, task: object) -> None:
        self.display, self.task = display, task
        self.fields: dict[str, object] = {}

    def advance(self, steps: int = 1, **fields: object) -> None:
        self.fields |= fields
        self.display.update(  # type: ignore[attr-defined]
            self.task, advance=steps, fields=_text(self.fields)
        )


class _Lines:
    """A line a tenth of the work, and one of its end, whenever that is."""

    def __init__(self, description: str, total: int) -> None:
        self.description, self.total, self.done = description, total, 0
        self.fields: dict[str, object] = {}
        self.logged: tuple[int, str] = (0, "")
        self.start = time.monotonic()

    def advance(self, steps: int = 1, **fields: object) -> None:
        self.fields |= fields
        before, self.done = self.done, self.done + steps
        if (
            self.done < self.total
            and self.done * LINES // self.total > before * LINES // self.total
        ):
            self._log()

    def end(self) -> None:
        """The work is over, or stopped: its last state, if that was not said."""
        if self.done and self.logged != (self.done, _text(self.fields)):
            self._log()

    def _log(self) -> None:
        self.logged = self.done, _text(self.fields)
        log.info(
            "%s %d/%d  %s  %.0f s",
            self.description,
            self.done,
            self.total,
            _text(self.fields),
            time.monotonic() - self.start,
        )


def _text(fields: dict[str, object]) -> str:
    return "  ".join(f"{name} {value}" for name, value in fields.items())
