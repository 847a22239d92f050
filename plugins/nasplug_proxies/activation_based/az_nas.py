"""AZ-NAS: four views of a network, assembled by rank (Lee & Ham, CVPR 2024)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from nasplug import NasplugError, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug.contracts.proxy import Aggregator
from nasplug.contracts.types import FloatArray


class AzExpressivity(ZeroCostProxy):
    """Sum over building blocks of the entropy of their features' principal components (section 3.2):
    isotropic features use all of their dimensions."""

    needs = ("blocks",)
    input = "gaussian"
    init = "kaiming"

    def score(self, probe: Probe) -> float:
        """One forward pass, without data."""
        return sum(_entropies(probe))


class AzProgressivity(ZeroCostProxy):
    """The least growth of that entropy from one building block to the next (section 3.2)."""

    needs = ("blocks",)
    input = "gaussian"
    init = "kaiming"

    def score(self, probe: Probe) -> float:
        """One forward pass, without data."""
        entropies = _entropies(probe)
        if len(entropies) < 2:
            raise NasplugError("the network must have two building blocks, but this one has one")
        return min(b - a for a, b in pairwise(entropies))


class AzTrainability(ZeroCostProxy):
    """Mean over building blocks of 2 - s - 1/s, s being the spectral norm of the map from the
    gradient of a block's output to that of its input, estimated with random signs as gradients
    (section 3.3): 0, the most, where gradients neither vanish nor explode."""

    needs = ("blocks",)
    input = "gaussian"
    init = "kaiming"

    def score(self, probe: Probe) -> float:
        """A backward pass through each block, without data."""
        blocks = probe.blocks
        terms = []
        for before, after in pairwise(blocks):
            signs = torch.randint_like(after, 2) * 2 - 1
            back = torch.zeros_like(before)  # where nothing goes through
            if before.requires_grad and after.requires_grad:
                (back,) = torch.autograd.grad(
                    after,
                    before,
                    signs,
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
            rows, columns = _positions(_fold(back, signs)), _positions(signs)
            norm = torch.linalg.matrix_norm(rows.T @ columns / len(columns), 2)
            terms.append(float(2 - norm - 1 / (norm + 1e-6)))
        if not terms:
            raise NasplugError("the network must have two building blocks, but this one has one")
        return sum(terms) / len(terms)


class AzNas(Aggregator):
    """Sum over the four views, the number of multiply-adds being the last, of the log of the rank
    among n networks, over n (equation 7)."""

    members = ("az_expressivity", "az_progressivity", "az_trainability", "flops")

    def combine(self, scores: FloatArray) -> FloatArray:
        """Scores of shape (n, 4) to shape (n,); equal scores share the mean of their ranks."""
        from scipy.stats import rankdata

        ranks: FloatArray = rankdata(scores, axis=0) / len(scores)
        total: FloatArray = np.log(ranks).sum(axis=1)
        return total


def _entropies(probe: Probe) -> list[float]:
    found = []
    for block in probe.blocks:
        features = _positions(block.detach()).double()
        values = torch.linalg.eigvalsh(torch.cov(features.T).reshape(features.shape[1], -1))
        shares = values.clamp(min=0) / values.clamp(min=0).sum()
        found.append(float(torch.special.entr(shares).sum()))
    return found


def _positions(x: torch.Tensor) -> torch.Tensor:
    """(b, channels, ..) to (b x positions, channels)."""
    return x.movedim(1, -1).flatten(0, -2)


def _fold(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Where a block changes the size of its map, `gradient` at the positions of `like`.

    The positions that a whole stride makes one become channels of that one; other sizes are
    averaged. A map that is flattened becomes one position.
    """
    old, new = gradient.shape[2:], like.shape[2:]
    if old == new:
        return gradient
    if not new:
        return gradient.flatten(1)
    if len(old) != len(new):
        raise NasplugError(
            f"building blocks must keep the axes of their maps, but one goes from {len(old)} to "
            f"{len(new)}"
        )
    stride = old[0] // new[0]
    if len(old) == 2 and stride > 1 and all(a == stride * b for a, b in zip(old, new, strict=True)):
        return functional.pixel_unshuffle(gradient, stride)
    return functional.interpolate(gradient, new, mode="area")
