"""Distinct activation patterns."""

from __future__ import annotations

from collections import Counter

import torch

from nasplug import ZeroCostProxy
from nasplug.probe import Probe


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
            signs = pattern.float() - 0.5
            same = 2 * (signs @ signs.T) + pattern.shape[1] / 2  # exact: halves of whole numbers
            kernel += times[key] * same.double().cpu()
        return float(torch.linalg.slogdet(kernel).logabsdet)
