"""NAS-Bench-101's cells without the nodes that lead nowhere (Ying et al., ICML 2019, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasplug_nni.nni3 import NasBench101Cell


def pruned(cell: NasBench101Cell, sample: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sample of the same network whose nodes all lie between input and output.

    None where there is no such path, or too many edges.
    """
    prefix, constraint = cell.label, cell.constraint
    sample = dict(sample)
    if constraint.check_contains(sample) is not None:
        return None
    graph = sample.pop(constraint.label)  # left there by the check
    nodes = sum(name.startswith("input") for name in graph) + 1
    inside = {f"{prefix}/{name}": value for name, value in graph.items()}
    return {**sample, cell.num_nodes.label: nodes, **inside}
