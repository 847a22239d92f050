"""Reads what other searches measured: DyNAS-T's CSV files and nasplug's results.csv."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasplug import NasplugError, SearchSpace
from nasplug.contracts.types import Architecture
from nasplug_tables.published import Published

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
    if not path.is_file():
        raise NasplugError(f"evaluator.results must name CSV files, but there is no {path}")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = list(reader)
    if "Sub-network" in columns:
        return _dynast(path, rows, space)
    if "architecture" in columns:
        return _own(path, rows, space)
    raise NasplugError(
        f"{path} must have a column 'Sub-network' (DyNAS-T) or 'architecture' (nasplug), but has "
        f"{', '.join(columns)}"
    )


def _dynast(
    path: Path, rows: list[dict[str, str]], space: SearchSpace
) -> list[tuple[Architecture, dict[str, float]]]:
    """DyNAS-T writes 0 for what it has not measured: a column of zeros alone is no metric."""
    names = [name for name in DYNAST if any(float(row.get(name) or 0) for row in rows)]
    found = []
    for line, row in enumerate(rows, start=2):
        try:
            config: Mapping[str, Any] = ast.literal_eval(row["Sub-network"])
            known = isinstance(space, Published)
            arch = space.from_ofa(config) if known else space.arch(config)
        except (
            NasplugError,
            ValueError,
            SyntaxError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise NasplugError(f"{path}, line {line} is not of this space: {error}") from None
        found.append((arch, {DYNAST[name]: float(row[name]) for name in names if row.get(name)}))
    return found


def _own(
    path: Path, rows: list[dict[str, str]], space: SearchSpace
) -> list[tuple[Architecture, dict[str, float]]]:
    """Failed rows and empty cells are left out."""
    counts = [len(v.options) for v in space.variables]
    found = []
    for line, row in enumerate(rows, start=2):
        if row.get("status", "ok") != "ok":
            continue
        try:
            genes = json.loads(row["architecture"])
            fits = len(genes) == len(counts) and all(
                isinstance(g, int) and 0 <= g < k for g, k in zip(genes, counts, strict=True)
            )
        except (TypeError, ValueError):
            fits = False
        archs = space.valid([tuple(genes)]) if fits else []
        if not archs:
            raise NasplugError(f"{path}, line {line} is not of this space: {row['architecture']}")
        cells = {name: cell for name, cell in row.items() if name not in NOT_METRICS and cell}
        found.append((archs[0], {name: float(cell) for name, cell in cells.items()}))
    return found
