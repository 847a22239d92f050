"""Reads what other searches measured: DyNAS-T's CSV files and nasplug's results.csv."""

from __future__ import annotations

import ast
import csv
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasplug import NasplugError, SearchSpace
from nasplug.contracts.capabilities import OnceForAllSpace
from nasplug.contracts.types import Architecture
from nasplug_tables.readers.opening import checked, reading, reason, shortened

DYNAST = {
    "Model Parameters": "params",
    "Latency (ms)": "latency",
    "MACs": "macs",
    "Model Size": "model_size",
    "Top-1 Acc (%)": "top1",
    "BLEU Score": "bleu",
    "SST-2 Acc": "accuracy",
    "HR@10": "hr10",
}
"""DyNAS-T's columns and the metrics that they are."""

LONGEST_CONFIG = 20_000
"""Characters of a configuration; Python's own compiler reads it, which is not made for bombs."""

NOT_METRICS = ("number", "status", "architecture", "config", "seconds", "error")
"""nasplug's columns that are none."""

Recorded = dict[Architecture, dict[str, float]]


def read(paths: Sequence[str], space: SearchSpace) -> Recorded:
    """Architecture to its metrics, each the mean of all its records, in the order of the files."""
    found: dict[Architecture, dict[str, list[float]]] = {}
    for path in paths:
        for arch, values in _read(Path(path), space):
            metrics = found.setdefault(arch, {})
            for name, value in values.items():
                metrics.setdefault(name, []).append(value)
    return {
        arch: {name: float(np.mean(values)) for name, values in metrics.items()}
        for arch, metrics in found.items()
    }


def _read(path: Path, space: SearchSpace) -> list[tuple[Architecture, dict[str, float]]]:
    if not os.path.exists(path):  # False, too, for names that the system refuses
        raise NasplugError(f"evaluator.results must name CSV files, but there is no {path}")
    checked(path, "evaluator.results", "CSV files of DyNAS-T or nasplug")
    with (
        reading(path, "a CSV file of DyNAS-T or nasplug"),
        path.open(newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.DictReader(file, skipinitialspace=True)
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        try:
            rows = list(reader)
        except csv.Error as error:
            raise NasplugError(
                f"{path}, line {reader.reader.line_num} is no CSV: {error}"
            ) from None
    if "Sub-network" in columns:
        return _dynast(path, rows, space)
    if "architecture" in columns:
        return _own(path, rows, space)
    raise NasplugError(
        f"{path} must have a column 'Sub-network' (DyNAS-T) or 'architecture' (nasplug), but has "
        f"{shortened(', '.join(columns)) or 'none'}"
    )


def _value(path: Path, line: int, name: str, cell: str) -> float:
    """The number in a cell; NasplugError, with its line and column, where it holds none."""
    try:
        value = float(cell)
    except (ValueError, TypeError):
        value = math.nan
    if not math.isfinite(value):
        raise NasplugError(
            f"{path}, line {line}: {name} must be a number, but is {shortened(str(cell), 100)!r}"
        )
    return value


def _dynast(
    path: Path, rows: list[dict[str, str]], space: SearchSpace
) -> list[tuple[Architecture, dict[str, float]]]:
    """DyNAS-T writes 0 for what it has not measured: a column of zeros alone is no metric."""
    measured = [
        {name: _value(path, line, name, row[name]) for name in DYNAST if row.get(name)}
        for line, row in enumerate(rows, start=2)
    ]
    names = [name for name in DYNAST if any(values.get(name) for values in measured)]
    found = []
    for line, (row, values) in enumerate(zip(rows, measured, strict=True), start=2):
        try:
            config = _literal(row["Sub-network"])
            arch = (
                space.from_ofa(config) if isinstance(space, OnceForAllSpace) else space.arch(config)
            )
        except Exception as error:  # a space may meet anything in a cell
            raise NasplugError(
                f"{path}, line {line} is not of this space: {reason(error)}"
            ) from None
        found.append((arch, {DYNAST[name]: values[name] for name in names if name in values}))
    return found


def _literal(text: str) -> Mapping[str, Any]:
    """The dictionary that `text` writes, as Python writes it."""
    if len(text) > LONGEST_CONFIG:
        raise ValueError(f"a configuration must have at most {LONGEST_CONFIG:,} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's compiler warns of odd numbers and escapes
        config = ast.literal_eval(text)
    if not isinstance(config, dict):
        raise TypeError(f"a configuration must be a dictionary, but is a {type(config).__name__}")
    return config


def _own(
    path: Path, rows: list[dict[str, str]], space: SearchSpace
) -> list[tuple[Architecture, dict[str, float]]]:
    """Failed rows and empty cells are left out."""
    counts = [len(v.options) for v in space.variables]
    found = []
    for line, row in enumerate(rows, start=2):
        if row.get("status", "ok") != "ok":
            continue
        if None in row or None in row.values():
            raise NasplugError(
                f"{path}, line {line} must have a cell for each name in the first line"
            )
        try:
            genes = json.loads(row["architecture"])
            fits = isinstance(genes, list) and len(genes) == len(counts)
            fits = fits and all(
                type(g) is int and 0 <= g < k for g, k in zip(genes, counts, strict=True)
            )
        except (TypeError, ValueError, RecursionError):
            fits = False
        archs = space.valid([tuple(genes)]) if fits else []
        if not archs:
            shown = shortened(str(row["architecture"]), 200)
            raise NasplugError(f"{path}, line {line} is not of this space: {shown}")
        cells = {name: cell for name, cell in row.items() if name not in NOT_METRICS and cell}
        found.append(
            (archs[0], {name: _value(path, line, name, cell) for name, cell in cells.items()})
        )
    return found
