"""Cells of nni whose operations, and the inputs of these, stay open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from nasplug_nni.nni3 import InputChoice, LayerChoice, create_cell_op_candidates
from nasplug_nni.supernet.switch_modules import Selection, SwitchedEdge, SwitchedLayer


def every_operation(selection: Selection) -> Callable[[Any, Any], None]:
    """Makes every candidate of every edge, for each of its inputs: a cell that switches both."""

    def create(cell: Any, candidates: Any) -> None:
        for node in range(cell.num_predecessors, cell.num_nodes + cell.num_predecessors):
            operations, inputs = nn.ModuleList(), nn.ModuleList()
            for k in range(cell.num_ops_per_node):
                choice = InputChoice._inner_choice(node, 1, None, f"input_{node}_{k}")
                made = [
                    create_cell_op_candidates(candidates, node, k, chosen)[0]
                    for chosen in range(node)
                ]
                label = LayerChoice._inner_choice(list(made[0]), None, f"op_{node}_{k}").label
                operations.append(SwitchedEdge(selection, label, choice.label, made))
                inputs.append(nn.Identity())  # hands all states on to the edge
            cell.ops.append(operations)
            cell.inputs.append(inputs)

    return create


def switched_chosen(selection: Selection, label: str, name: str, module: nn.Module) -> nn.Module:
    """The chosen operation, named as among its candidates."""
    return SwitchedLayer(selection, label, {name: module})
