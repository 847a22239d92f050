"""Evaluator: what measures architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import Architecture, Metric, Outcome, Trial

if TYPE_CHECKING:
    from torch import nn


class Evaluator(ABC):
    """Measures metrics of architectures.

    Order of calls: `metrics` when a run is set up; `prepare` once, before the first measurement,
    and only if one of its metrics is wanted; `evaluate` for every batch, possibly in another
    process, to which the evaluator is pickled (so what cannot be pickled is loaded when first
    needed). The same architecture always gets the same values, in any order and any batch, wall-clock
    metrics aside.
    """

    closed_form: tuple[str, ...] = ()
    """Metrics that it takes from `SearchSpace.costs`, or computes for many architectures at once itself
    (`capabilities.ComputingEvaluator`): a strategy computes them rather than predict them."""

    preferred_batch: int = 1
    """How many architectures `evaluate` is best given at a time. Results are saved chunk by preferred_batch:
    1 where one takes long."""

    runs_alone: tuple[str, ...] = ()
    """Metrics that measure time: no other evaluation is under way while they are measured."""

    partial_fidelity: bool = False
    """Whether trials of a fidelity below 1 may be given to it: it measures them by that share of a full
    evaluation, or its metrics do not depend on the fidelity."""

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """What it can measure, the main one first."""

    @abstractmethod
    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Measure `names` of every trial, in order; a Failure where one cannot be measured."""

    def prepare(self) -> None:
        """The long work that all measurements share, such as training a super-network, done once."""
        return None

    def test_quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        """Those of `names` that the task gives on test data (`Task.test_quality`), of the network that was
        measured; {} where there are none. Never asked while a search is on. A `NasplugError` says why
        no network can be tested."""
        return {}

    def network(self, arch: Architecture) -> nn.Module:
        """The network that was measured, weights and all, in evaluation mode on the CPU."""
        raise NasplugError(
            f"{type(self).__name__} measures without trained weights, so there is no network to export"
        )
