"""Linear regions."""

from __future__ import annotations

from typing import Annotated

import torch
from torch.utils._pytree import tree_leaves, tree_map

from nasplug import NasplugError, Range, ZeroCostProxy
from nasplug.contracts.probe import Examples, Probe
from nasplug_proxies.scoring.probe import PassProbe


class LinearRegions(ZeroCostProxy):
    """The number of linear regions that the straight line between two gaussian inputs crosses: one,
    and one more for each activation unit that switches between neighbours of `points` evenly spaced
    points (Hanin & Rolnick, ICML 2019; regions of untrained networks as a score: Chen et al., ICLR
    2021, "TE-NAS").

    Counted along a line because the patterns of unrelated inputs are all different in any network of
    practical size. Batch norm uses its running statistics.
    """

    input = "gaussian"
    samples = 2
    training = False

    def __init__(self, points: Annotated[int, Range(ge=2)] = 64) -> None:
        self.points = points

    def score(self, probe: Probe) -> float:
        """One forward pass of `points` examples, without data."""
        if not all(x.is_floating_point() for x in tree_leaves(probe.inputs)):
            raise NasplugError("the network must take real numbers, but this one takes integers")
        line = tree_map(self._between, probe.inputs)
        patterns = PassProbe(probe.model, [Examples(line)], None, ("patterns",)).patterns
        switches = sum(int((p[1:] != p[:-1]).sum()) for p in patterns)
        return float(1 + switches)

    def _between(self, ends: torch.Tensor) -> torch.Tensor:
        part = torch.linspace(0, 1, self.points, dtype=ends.dtype, device=ends.device)
        part = part.view(-1, *[1] * (ends.ndim - 1))
        return (1 - part) * ends[:1] + part * ends[1:]
