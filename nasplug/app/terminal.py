"""What a search shows: what it is about to do, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.app.run import FRONT, PICTURE, RESULTS
from nasplug.app.tested import SUFFIX
from nasplug.contracts.errors import NasplugError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from nasplug.app.run import Run
    from nasplug.contracts.space import SearchSpace
    from nasplug.contracts.strategy import Problem

log = logging.getLogger("nasplug")
WIDE = 100
"""Columns of text of a table in a file or a pipe."""
ROWS = 20
"""The longest table shown; a longer front is thinned out, and whole in its file."""


def announce(
    problem: Problem,
    columns: Sequence[str],
    budget: int,
    config: Mapping[str, Any],
    folder: Path | None,
) -> None:
    """One line each: what is searched, for what, how, and where the results go."""
    chosen = config.get("choices", {})
    space = chosen.get("space") or type(problem.space).__name__
    task = (
        chosen.get("task")
        if problem.task and chosen
        else problem.task and type(problem.task).__name__
    )
    goals = ", ".join(f"{o.direction} {o.name}" for o in problem.objectives)
    limits = [
        f"{c.name} {sign} {limit:g}"
        for c in problem.constraints
        for sign, limit in (("<=", c.max), (">=", c.min))
        if limit is not None
    ]
    beside = [name for name in columns if name not in problem.metrics]
    log.info(
        "space       %s%s: %s architectures",
        space,
        f" on {task}" if task else "",
        _size(problem.space),
    )
    log.info("objectives  %s%s", goals, f", with {' and '.join(limits)}" if limits else "")
    if beside:
        log.info("also        %s", ", ".join(beside))
    log.info(
        "strategy    %s, budget %d",
        chosen.get("strategy") or config["strategy"]["_target_"],
        budget,
    )
    if folder:
        log.info("results     %s", folder)


def conclude(run: Run) -> None:
    """The front as a table, and the paths of what was written."""
    assert run.folder is not None
    if log.isEnabledFor(logging.INFO):
        show(run)
    paths = [run.folder / name for name in (RESULTS, FRONT, PICTURE)]
    print("\n".join(str(path) for path in paths if path.exists()))


def show(run: Run) -> None:
    """Print the front."""
    front = run.front()
    title = f"measured front: {len(front)} of {len(run)} architectures"
    if run.failed:
        title += f" ({run.failed} failed, see the column error)"
    units = {name: metric.unit for name, metric in run.evaluator.metrics.items()}
    tests = [
        name for name in run.columns if name + SUFFIX in front and name + SUFFIX not in run.columns
    ]
    beside = {name: [name + SUFFIX] for name in tests}
    columns = [column for name in run.columns for column in (name, *beside.get(name, []))]
    units |= {name + SUFFIX: units[name] for name in tests}
    header = ["number", *(f"{n} [{units[n]}]" if units.get(n) else n for n in columns)]
    kept = np.unique(np.linspace(0, len(front) - 1, min(ROWS, len(front))).round().astype(int))
    rows = [_row(front.iloc[i], columns) for i in kept]
    if len(rows) < len(front):
        title += f", {len(rows)} shown"
    table(title, header, rows)
    if tests:
        print(
            f"{', '.join(tests)}: on validation data, which chose these; "
            f"{', '.join(name + SUFFIX for name in tests)}: on test data, which no search saw\n"
        )


def _row(row: pd.Series[Any], columns: Sequence[str]) -> list[str]:
    return [str(row["number"]), *(_number(float(row[name])) for name in columns)]


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; columns of numbers are aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(header):
        numeric = all(_is_number(row[i]) for row in rows)
        shown.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        shown.add_row(*row)
    print(title)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    console.print(shown)


def _is_number(text: str) -> bool:
    return (
        not text
        or text.replace(",", "").replace(".", "").replace("-", "").replace("e+", "").isdigit()
    )


def _number(value: float) -> str:
    if value != value:  # not measured
        return ""
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1000 else f"{value:.5g}"


def _size(space: SearchSpace) -> str:
    try:
        return f"{space.size:,}" if space.size < 10**7 else f"{space.size:.3g}"
    except NasplugError:  # too entangled to be counted, and no search needs it
        return "uncounted"
