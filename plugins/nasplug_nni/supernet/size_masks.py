"""Mixtures of sizes: widths and kernels that are read while a network is built.

An option of such a choice takes a part of every tensor (`shared.part`). The mixture takes the largest
part, each number of it times the weights of the options whose part has it: a weighted sum of kernels,
as nni's differentiable super-networks compute and Stamoulis et al., "Single-path NAS" (2019), do. With
all weight on one option, what lies outside of its part is 0, and the network computes the same as the
smaller one, unless it normalises over channels, splits them or stacks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from nasplug import Architecture
from nasplug_nni.supernet.weight_sharing import Entry, bounds, entries

Parts = dict[str, Tensor]
"""By the name of a tensor, which option's part has which of its numbers: 0 or 1, (options, *shape),
with 1 for an axis that all have whole."""


@final
class Masks:
    """How the options of one design variable share the tensors of a `network` built for the largest.

    `build` gives the network for another setting; `setting` is the largest's, in which the variable
    stands at `place`.
    """

    def __init__(
        self,
        build: Callable[[Architecture], nn.Module],
        setting: Architecture,
        place: int,
        options: int,
    ) -> None:
        largest = {e.name: e for e in entries(build(setting), running=False)}
        others = []
        for i in range(options):
            other = build((*setting[:place], i, *setting[place + 1 :]))
            others.append({e.name: e for e in entries(other, running=False)})
        self.possible = all(_within(other, largest) for other in others)
        self.parts: Parts = _parts(largest, others) if self.possible else {}

    def apply(self, tensors: dict[str, Tensor], share: Tensor) -> None:
        """Multiply those parameters that the options do not share whole; in place of the mapping."""
        for name, has in self.parts.items():
            if name in tensors:
                tensors[name] = tensors[name] * torch.tensordot(share, has.to(share), 1)


def _within(other: Mapping[str, Entry], largest: Mapping[str, Entry]) -> bool:
    return other.keys() == largest.keys() and all(
        isinstance(e.owner, nn.MultiheadAttention) is False
        and all(n <= m for n, m in zip(e.tensor.shape, largest[name].tensor.shape, strict=True))
        for name, e in other.items()
    )


def _parts(largest: Mapping[str, Entry], others: list[dict[str, Entry]]) -> Parts:
    parts: Parts = {}
    for name, entry in largest.items():
        shape = entry.tensor.shape
        shapes = [other[name].tensor.shape for other in others]
        if not isinstance(entry.tensor, nn.Parameter) or all(s == shape for s in shapes):
            continue
        has = torch.ones(len(others), *[1] * len(shape))
        for axis, size in enumerate(shape):
            if any(s[axis] != size for s in shapes):
                inside = torch.zeros(
                    len(others), *[size if a == axis else 1 for a in range(len(shape))]
                )
                for i, smaller in enumerate(shapes):
                    start, stop = bounds(entry, axis, size, smaller[axis])
                    inside[i].narrow(axis, start, stop - start).fill_(1)
                has = has * inside
        parts[name] = has
    return parts
