"""DeScore: the parts of the DE-Score as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from nasplug import Aggregator, NasplugError, NonNegativeFloat
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import FloatArray

Domain = Literal["cnn", "vit", "bert", "hf", "asr"]


@dataclass(frozen=True)
class Weights:
    """What each part of the score counts."""

    expressivity: float
    complexity: float
    diversity: float
    saliency: float


RANK = Weights(expressivity=1, complexity=0, diversity=1, saliency=0)
PUBLISHED = {
    "cnn": Weights(1, 1, 0, 1),
    "vit": Weights(0, 0, 1, 1),
    "bert": Weights(0, 0, 1e-5, 1),
    "hf": Weights(0, 0, 1e-5, 1),
    "asr": Weights(0, 0, 1, 1),
}
"""Of the configuration files that DE-NAS ships."""

PARTS = {
    "expressivity": "de_expressivity",
    "complexity": "de_ntk",
    "diversity": "de_diversity",
    "saliency": "de_saliency",
}
LEGACY_PARTS = {**PARTS, "diversity": "de_diversity_frobenius"}


@final
class DeScore(Aggregator):
    """Several of the parts of DE-NAS's score (Intel, e2eAIOK) as one, higher being better.

    formula "rank": the mean of the ranks that the parts give, weighted, as a share of the number of
    networks; so it needs no weights that balance the parts' magnitudes, and is comparable across sizes.

    formula "legacy": the published sum. Of CNNs EXP / SAL - COM, saliency being a divisor, though the
    original's documents say otherwise; of transformers DIV + SAL. The parts are the corrected ones:
    networks of their own weights, each layer once, seeded; DIV with the Frobenius norm, as in the
    original, COM the condition number itself, DIV and SAL the sums themselves. The original divides
    by 1 + weight * latency besides: a wall clock in a score makes it another one at every call, so
    latency is an objective or a limit of its own, e.g. objectives=[de_score,latency].

    A part of weight 0 is not computed.

    Args:
        formula: rank or legacy.
        domain: whose published formula and weights (legacy): cnn, vit, bert, hf or asr.
        expressivity_weight, complexity_weight, diversity_weight, saliency_weight: what a part counts;
            null: 1, 0, 1, 0 (rank), or as published.
    """

    def __init__(
        self,
        formula: Literal["rank", "legacy"] = "rank",
        domain: Domain = "vit",
        expressivity_weight: NonNegativeFloat | None = None,
        complexity_weight: NonNegativeFloat | None = None,
        diversity_weight: NonNegativeFloat | None = None,
        saliency_weight: NonNegativeFloat | None = None,
    ) -> None:
        if domain not in PUBLISHED:
            raise unknown("domain", domain, PUBLISHED)
        if formula not in ("rank", "legacy"):
            raise unknown("formula", formula, ("rank", "legacy"))
        self.formula = formula
        self.domain = domain
        self.expressivity_weight = expressivity_weight
        self.complexity_weight = complexity_weight
        self.diversity_weight = diversity_weight
        self.saliency_weight = saliency_weight
        default = PUBLISHED[domain] if formula == "legacy" else RANK
        given = {name: getattr(self, f"{name}_weight") for name in PARTS}
        self._weights = {
            name: float(getattr(default, name) if weight is None else weight)
            for name, weight in given.items()
        }
        names = LEGACY_PARTS if formula == "legacy" else PARTS
        self._parts = [name for name, weight in self._weights.items() if weight > 0]
        if formula == "legacy":
            unused = ("diversity",) if domain == "cnn" else ("expressivity", "complexity")
            self._parts = [name for name in self._parts if name not in unused]
        if not self._parts:
            raise NasplugError(
                f"a part that {formula} of {domain} has must have a weight above 0, but none has; e.g. "
                f"{'expressivity' if domain == 'cnn' else 'diversity'}_weight=1"
            )
        self.members = tuple(names[name] for name in self._parts)

    def combine(self, scores: FloatArray) -> FloatArray:
        """Scores of shape (n, m) to shape (n,)."""
        columns = dict(zip(self._parts, np.asarray(scores, float).T, strict=True))
        return self._legacy(columns) if self.formula == "legacy" else self._ranked(columns)

    def _ranked(self, columns: dict[str, FloatArray]) -> FloatArray:
        from scipy.stats import rankdata

        total = sum(self._weights[name] for name in columns)
        shares = [
            self._weights[name] / total * rankdata(column) / len(column)
            for name, column in columns.items()
        ]
        mean: FloatArray = np.sum(shares, axis=0)
        return mean

    def _legacy(self, columns: dict[str, FloatArray]) -> FloatArray:
        """The parts are logarithms, but for expressivity, which is one in the original too."""
        sums = {
            name: self._weights[name] * np.exp(-column if name == "complexity" else column)
            for name, column in columns.items()
            if name != "expressivity"
        }
        if self.domain != "cnn":
            total: FloatArray = np.sum(list(sums.values()), axis=0, dtype=float)
            return total
        zero = np.zeros(len(next(iter(columns.values()))))
        expressivity = self._weights["expressivity"] * columns.get("expressivity", zero)
        score: FloatArray = expressivity / sums.get("saliency", zero + 1)
        return score - sums.get("complexity", zero)
