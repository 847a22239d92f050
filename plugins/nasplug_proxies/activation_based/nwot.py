"""Distinct activation patterns."""

from __future__ import annotations

from collections import Counter

import torch

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe

PART = 2048
"""Units at a time: as floats they stay in the processor's cache."""


class Nwot(ZeroCostProxy):
    """log |det K|, K_ij being the number of activation units that are equally on or off for
    examples i and j (Mellor et al., ICML 2021, "NAS without training").

    Its first version, a score of Jacobians, is the proxy jacob_cov.
    """

    needs = ("patterns",)

    def score(self, probe: Probe) -> float:
        """One forward pass; no labels. It depends on the batch size."""
        patterns = {id(pattern): pattern for pattern in probe.patterns}
        times = Counter(map(id, probe.patterns))
        examples = len(probe.patterns[0])
        kernel = torch.zeros(examples, examples, dtype=torch.float64)
        for key, pattern in patterns.items():
            kernel += times[key] * _agreeing(pattern)
        return float(torch.linalg.slogdet(kernel).logabsdet)


def _agreeing(pattern: torch.Tensor) -> torch.Tensor:
    """How many units of `pattern`, bool of shape (b, units), are equal in each pair of examples: an
    exact float64, shape (b, b), on the CPU."""
    both = torch.zeros(len(pattern), len(pattern), dtype=torch.float64, device=pattern.device)
    for part in torch.split(pattern, PART, dim=1):
        on = part.float()
        both += on @ on.T
    each = both.diagonal()
    return (2 * both - each[:, None] - each[None, :] + pattern.shape[1]).cpu()
