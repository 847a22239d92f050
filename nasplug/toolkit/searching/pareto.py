"""Fronts, hypervolume, knee: thin words over moocore. Losses are minimised, shape (n, m)."""

from __future__ import annotations

import numpy as np

from nasplug.contracts.types import BoolArray, FloatArray


def nondominated(losses: FloatArray, violation: FloatArray | None = None) -> BoolArray:
    """Which rows are feasible (violation 0) and Pareto optimal among the feasible, shape (n,).

    Rows with NaN are never; of equal rows the first is.
    """
    import moocore

    good = np.isfinite(losses).all(axis=1)
    if violation is not None:
        good &= violation == 0
    mask = np.zeros(len(losses), bool)
    if good.any():
        rows = np.flatnonzero(good)
        mask[rows[np.asarray(moocore.is_nondominated(losses[rows]), bool)]] = True
    return mask


def hypervolume(
    losses: FloatArray, reference: FloatArray, ideal: FloatArray | None = None
) -> float:
    """The volume that `losses` dominate below `reference`; as a share of the box down to `ideal`.

    Rows with NaN, or not better than the reference everywhere, add nothing.
    """
    import moocore

    inside = losses[(losses < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    volume = float(moocore.hypervolume(inside, ref=reference))
    return volume if ideal is None else volume / float(np.prod(reference - ideal))


def bounds(losses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best and worst finite value of each objective, (ideal, reference), never equal."""
    finite = losses[np.isfinite(losses).all(axis=1)]
    if not len(finite):
        return np.zeros(losses.shape[1]), np.ones(losses.shape[1])
    best, worst = finite.min(axis=0), finite.max(axis=0)
    return best, np.where(worst > best, worst, best + 1.0)


def knee(losses: FloatArray) -> int:
    """The row of a front nearest to its ideal point, each objective scaled to the front's range."""
    best, worst = bounds(losses)
    return int(np.argmin(np.linalg.norm((losses - best) / (worst - best), axis=1)))
