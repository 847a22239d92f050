"""Smallest eigenvalues of channel correlations."""

from __future__ import annotations

import torch

from nasplug import NasplugError, PositiveInt, ZeroCostProxy
from nasplug.contracts.inputs import call
from nasplug.contracts.probe import Probe
from nasplug_proxies.activation_based.features import recorded


class Meco(ZeroCostProxy):
    """Sum over modules of the smallest eigenvalue of the correlation of the channels of the feature
    map, of one gaussian example (Jiang et al., NeurIPS 2023). Channels are axis 1; a channel that is
    constant correlates with nothing, not even itself.

    The batch has `samples` examples, two by default, because batch norm cannot take the statistics of
    a single number; the first one's features count."""

    input = "gaussian"

    def __init__(self, samples: PositiveInt = 2) -> None:
        self.samples = samples

    @torch.no_grad()
    def score(self, probe: Probe) -> float:
        """One forward pass, without data."""
        with recorded(list(probe.model.modules())) as record:
            call(probe.model, probe.inputs)
        maps = [x[0].flatten(1) for _, x in record if x.ndim > 2 and x[0, 0].numel() > 1]
        if not maps:
            raise NasplugError(
                "the network must have feature maps of several positions, but this one has none"
            )
        return sum(self._smallest(x) for x in maps)

    def _smallest(self, channels: torch.Tensor) -> float:
        correlation = torch.corrcoef(channels.double()).reshape(len(channels), len(channels))
        return float(torch.linalg.eigvalsh(correlation.nan_to_num(0.0))[0])
