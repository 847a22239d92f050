"""How a Cell of nni makes its operations: only those that are wanted.

nni builds every candidate and keeps one. Of eight or more for each of twenty edges a cell, that is
most of the time a network takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from nasplug_nni.nni3 import Cell, InputChoice, LayerChoice, create_cell_op_candidates

CREATE = Cell._create_modules
"""nni's own."""


def chosen_operations(
    sample: Mapping[str, Any], keep: Callable[[str, str, nn.Module], nn.Module]
) -> Callable[[Any, Any], None]:
    """Makes the chosen operation of every edge, as `keep` of its label, its name and itself.

    Within nni's context of `sample`, where an InputChoice is its chosen input.
    """

    def create(cell: Any, candidates: Any) -> None:
        if not isinstance(candidates, (list, dict)):
            CREATE(cell, candidates)
            return
        named = candidates if isinstance(candidates, dict) else _numbered(candidates)
        for node in range(cell.num_predecessors, cell.num_nodes + cell.num_predecessors):
            cell.ops.append(nn.ModuleList())
            cell.inputs.append(nn.ModuleList())
            for k in range(cell.num_ops_per_node):
                inputs = InputChoice(node, 1, label=f"input_{node}_{k}")
                (chosen,) = inputs.chosen
                if cell.merge_op == "loose_end" and chosen in cell.output_node_indices:
                    cell.output_node_indices.remove(chosen)
                choice = LayerChoice._inner_choice(list(named), None, f"op_{node}_{k}")
                name = choice.freeze(sample)
                made, _ = create_cell_op_candidates({name: named[name]}, node, k, chosen)
                cell.ops[-1].append(keep(choice.label, name, made[name]))
                cell.inputs[-1].append(inputs)

    return create


def _numbered(candidates: list[Any]) -> dict[str, Any]:
    return {str(i): candidate for i, candidate in enumerate(candidates)}
