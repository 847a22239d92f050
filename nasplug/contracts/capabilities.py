"""What a part may offer beyond its contract: small protocols that others look for by `isinstance`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from nasplug.contracts.inputs import Inputs
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture, Archs, FloatArray


@runtime_checkable
class WrittenSpace(Protocol):
    """A space whose architectures have a published notation; tables of measurements may use it."""

    def parse(self, text: str) -> Architecture:
        """The architecture that `text` writes; NasplugError where it writes none."""

    def format(self, arch: Architecture) -> str:
        """How the architecture is published."""


@runtime_checkable
class OnceForAllSpace(Protocol):
    """A space of once-for-all networks: surrogates and recordings name architectures by its keys, `ks`,
    `e`, `d` of MobileNetV3 and ProxylessNAS, or `d`, `e`, `w` of ResNet-50."""

    def from_ofa(self, config: Mapping[str, Any]) -> Architecture:
        """The architecture of a published configuration."""

    def to_ofa(self, arch: Architecture) -> Mapping[str, Any]:
        """The published configuration of an architecture."""


@runtime_checkable
class WiredSpace(Protocol):
    """A space that says how its parts are wired; graph networks read it."""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names of design variables: what the first stands for feeds what the second does."""


@runtime_checkable
class PublishedWeights(Protocol):
    """A super-network whose trained weights are published: `weights=published` fetches them."""

    published: str | None
    """The address of its state dict; None where none fits the super-network as it is configured."""


@runtime_checkable
class TimedSpace(Protocol):
    """A space of networks whose latency is not that of a plain forward pass, such as a translation:
    the encoder once, then step after step of a decoder with its cache."""

    def timed(self, network: Any, inputs: Inputs) -> Any:
        """One run of what `latency` times, of a network that the space built, in evaluation mode, under
        `inference_mode`; `inputs` are `example_inputs` on the network's device."""


@runtime_checkable
class ComputingEvaluator(Protocol):
    """An evaluator that computes the metrics of its `closed_form` itself, as a predictor of latency does."""

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """Metric name to shape (n,), as `SearchSpace.costs`; what `evaluate` gives, to the digit."""


@runtime_checkable
class SpaceAwarePredictor(Protocol):
    """A predictor that must know the space, as graph networks do."""

    def set_space(self, space: SearchSpace) -> Any:
        """Called once, before anything is learnt."""


@runtime_checkable
class PretrainedPredictor(Protocol):
    """A predictor that can learn from cheap scores first."""

    def pretrain(self, X: FloatArray, scores: FloatArray) -> Any:
        """Features (n, f) and scores (n,), higher is better; every later `fit` starts from there."""
