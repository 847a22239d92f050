"""Layers that hold every candidate and run those that are picked, weighted where they are mixed.

They stand where nni would put the one that was chosen. What is picked is read from a `Selection`
that all of them share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from torch import nn

from nasplug import NasplugError
from nasplug_nni.nni3 import ChosenInputs

Pick = tuple[Any, torch.Tensor | None]
"""A value of a choice, and how much it counts; None for all that counts."""


@final
class Selection:
    """What is picked: label to picks. One without a weight for a sub-network, several for a mixture."""

    def __init__(self) -> None:
        self.picks: dict[str, Sequence[Pick]] = {}

    def __getitem__(self, label: str) -> Sequence[Pick]:
        return self.picks[label]


def weighted(terms: Iterable[tuple[Any, torch.Tensor | None]]) -> Any:
    """The sum of outputs times weights; of tensors, or of lists of them, place by place."""
    outputs, weights = zip(*terms, strict=True)
    if isinstance(outputs[0], (list, tuple)):
        columns = zip(*outputs, strict=True)
        return [weighted(zip(column, weights, strict=True)) for column in columns]
    scaled = [o if w is None else o * w for o, w in zip(outputs, weights, strict=True)]
    return sum(scaled[1:], scaled[0])


class SwitchedLayer(nn.Module):
    """A LayerChoice: the output of the picked candidate. Candidates have nni's names."""

    def __init__(self, selection: Selection, label: str, candidates: dict[Any, nn.Module]) -> None:
        super().__init__()
        self.selection = selection
        self.label = label
        for name, module in candidates.items():
            self.add_module(str(name), module)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Whatever the candidates take and give."""
        picks = self.selection[self.label]
        return weighted((self.get_submodule(str(n))(*args, **kwargs), w) for n, w in picks)

    def running(self) -> list[str]:
        """The names of the children that run."""
        return [str(name) for name, _ in self.selection[self.label]]


class SwitchedInputs(nn.Module):
    """An InputChoice of `n_chosen` inputs, or of any number where it is None."""

    def __init__(
        self, selection: Selection, label: str, n_chosen: int | None, reduction: str
    ) -> None:
        super().__init__()
        self.selection = selection
        self.label = label
        self.n_chosen = n_chosen
        self.reduction = reduction

    def forward(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Tensors of one shape -> their reduction, as nni's."""
        picks = self.selection[self.label]
        reduce: Callable[..., Any] = ChosenInputs._tensor_reduction
        if self.n_chosen is not None:
            return weighted((reduce(self.reduction, [inputs[i] for i in c]), w) for c, w in picks)
        if all(weight is None for _, weight in picks):
            return reduce(self.reduction, [inputs[i] for i, _ in picks])
        if self.reduction not in ("sum", "mean"):
            raise NasplugError(
                f"choice {self.label!r} cannot be relaxed: any number of inputs, reduced by "
                f"{self.reduction!r}; search it otherwise, e.g. +strategy=spos"
            )
        total = weighted((inputs[i], w) for i, w in picks)
        return (
            total if self.reduction == "sum" else total / sum(w for _, w in picks if w is not None)
        )

    def running(self) -> list[str]:
        """It has no children."""
        return []


class SwitchedRepeat(nn.Module):
    """A Repeat: the output after as many blocks as are picked."""

    def __init__(self, selection: Selection, label: str, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.selection = selection
        self.label = label
        for i, block in enumerate(blocks):
            self.add_module(str(i), block)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, i: int) -> nn.Module:
        return list(self.children())[i]

    def forward(self, x: Any) -> Any:
        """Whatever the blocks take and give."""
        picks = {depth: weight for depth, weight in self.selection[self.label]}
        terms = [(x, picks[0])] if 0 in picks else []
        for depth, name in enumerate(self.running(), 1):
            x = self.get_submodule(name)(x)
            if depth in picks:
                terms.append((x, picks[depth]))
        return weighted(terms)

    def running(self) -> list[str]:
        """The names of the blocks that run."""
        return list(map(str, range(max(depth for depth, _ in self.selection[self.label]))))


class SwitchedEdge(nn.Module):
    """An operation of a Cell with the choice of its input: candidates of their own for every input."""

    def __init__(
        self,
        selection: Selection,
        label: str,
        input_label: str,
        candidates: Sequence[dict[str, nn.Module]],
    ) -> None:
        super().__init__()
        self.selection = selection
        self.input_label = input_label
        for i, operations in enumerate(candidates):
            self.add_module(str(i), SwitchedLayer(selection, label, operations))

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The states of the nodes before -> what this edge adds to its node."""
        picks = self.selection[self.input_label]
        terms = ((self.get_submodule(str(i))(states[i]), w) for (i,), w in picks)
        total: torch.Tensor = weighted(terms)
        return total

    def running(self) -> list[str]:
        """The names of the picked inputs."""
        return [str(i) for (i,), _ in self.selection[self.input_label]]


SWITCHES = (SwitchedLayer, SwitchedInputs, SwitchedRepeat, SwitchedEdge)
