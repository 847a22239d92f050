"""Distinct activation patterns."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import torch

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe

PART = 2048
"""Units at a time: as floats they stay in the processor's cache."""


class Nwot(ZeroCostProxy):
    """log |det K|, K_ij being the number of activation units that are equally on or off for
    examples i and j (Mellor et al., ICML 2021, "NAS without training").

    As in the authors' code, activation layers that no gradient of the outputs comes to do not
    count: those whose output nothing uses, and those that read constants. Their code counts each
    layer of NAS-Bench-201 but the last twice, since it takes the class ReLUConvBN for a ReLU too;
    and there a cell without an operation on an edge multiplies by zero, so that all are reached.
    Its first version, a score of Jacobians, is the proxy jacob_cov.
    """

    needs = ("patterns", "reached")

    def score(self, probe: Probe) -> float:
        """One forward pass; no labels. It depends on the batch size."""
        used = list(compress(probe.patterns, probe.reached))
        patterns = {id(pattern): pattern for pattern in used}
        times = Counter(map(id, used))
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
