"""Engine: the algorithm inside an evolutionary search, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nasplug import CandidateScorer, SearchSpace
from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug_strategies.evolution.operators import Variation


class Exhausted(Exception):
    """The space holds fewer new architectures than a generation needs: `rest` are the last."""

    def __init__(self, rest: list[Architecture]) -> None:
        super().__init__()
        self.rest = rest


class Engine(Protocol):
    """Makes children of a population and selects who survives: `ask` and `tell` in turn.

    Losses have shape (n, objectives), all minimised, and are about 0..1; the violation of the
    constraints has shape (n,), 0 where they hold. Both are finite.
    """

    def ask(self) -> list[Architecture]:
        """The next generation, none ever seen before; raises Exhausted when there are too few."""

    def tell(self, losses: FloatArray, violation: FloatArray) -> None:
        """What became of the generation."""


@dataclass(frozen=True)
class Parts:
    """What an engine is built from: the measured first population, best first, and the knobs.

    `seen` holds every architecture asked so far; the engine adds to it. `settings` are the
    algorithm's own knobs; `candidate_scorer` chooses among children before they are measured.
    """

    space: SearchSpace
    variation: Variation
    offspring: int
    genes: IntArray
    losses: FloatArray
    violation: FloatArray
    seen: set[Architecture]
    settings: Mapping[str, float]
    seed: int
    candidate_scorer: CandidateScorer | None = None

    @property
    def population(self) -> int:
        """How many survive."""
        return len(self.genes)

    @property
    def objectives(self) -> int:
        """How many losses there are."""
        return int(self.losses.shape[1])
