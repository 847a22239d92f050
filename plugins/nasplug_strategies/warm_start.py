"""What a search measures first: the architectures of another run, and random ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from nasplug import NasplugError, Problem, SearchSpace
from nasplug.contracts.types import Architecture


def warm_start_architectures(
    problem: Problem, warm_start: str | None, most: int | None = None
) -> list[Architecture]:
    """The architectures to measure before all others, best guess first, none twice.

    `warm_start` is the folder of another run (its front is taken) or one of its CSV files (all of
    `runs/OTHER/results.csv`). They are measured again, for this problem's objectives (Appendix E of
    the DyNAS-T paper: the front of a search for MACs warms a search for latency).
    `problem.initial_architectures` follows, until there are `most` in all.
    """
    found = [] if warm_start is None else _read(Path(warm_start), problem.space)
    room = None if most is None else max(most - len(found), 0)
    return found + [arch for arch in problem.initial_architectures if arch not in found][:room]


def fill_up(
    first: list[Architecture], n: int, space: SearchSpace, rng: np.random.Generator
) -> list[Architecture]:
    """`first`, and random architectures up to `n` in all; fewer where the space has fewer."""
    rest = space.sample(max(n - len(first), 0), rng, exclude=first)
    return first + [tuple(row) for row in rest.tolist()]


def _read(path: Path, space: SearchSpace) -> list[Architecture]:
    file = path / "front.csv" if path.is_dir() else path
    if not file.is_file():
        raise NasplugError(
            f"warm_start must be a run's folder or one of its CSV files, but there is no {file}; "
            "type e.g. strategy.warm_start=runs/OTHER"
        )
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if rows and "architecture" not in rows[0]:
        raise NasplugError(
            f"{file} must have a column 'architecture', but has {', '.join(rows[0])}"
        )
    if not rows:
        raise NasplugError(f"warm_start must name a run that found something, but {file} is empty")
    archs = [_architecture(row["architecture"], space, file) for row in rows]
    return list(dict.fromkeys(archs))


def _architecture(text: str, space: SearchSpace, file: Path) -> Architecture:
    """One cell of the column, checked against `space`."""
    options = [len(v.options) for v in space.variables]
    try:
        genes = json.loads(text)
        fits = len(genes) == len(options) and all(
            0 <= g < k and int(g) == g for g, k in zip(genes, options, strict=True)
        )
    except (TypeError, ValueError):  # neither JSON nor a list of numbers
        fits = False
    arch: Architecture = tuple(space.canonical([tuple(genes)])[0].tolist()) if fits else ()
    if not fits or not space.is_valid([arch])[0]:
        raise NasplugError(
            f"warm_start must name a run on the same space, but {text} of {file} is no architecture "
            f"of {type(space).__name__}"
        )
    return arch
