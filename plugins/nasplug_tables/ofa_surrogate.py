"""The evaluator of the published once-for-all predictors and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

from nasplug import Evaluator, Measurement, Metric, NasplugError, SearchSpace
from nasplug.contracts.types import Outcome, Trial
from nasplug_tables.ofa_accuracy import AccuracyPredictor
from nasplug_tables.ofa_latency import LatencyTable
from nasplug_tables.published import Published


@final
class OfaSurrogate(Evaluator):
    """`top1` as the published accuracy predictor says, `latency` as the published table adds it up.

    A search on real networks that takes seconds: nothing is trained or run. The predictor's scale is
    that of its hold-out images, 5 to 6 points above ImageNet's validation accuracy.

    Args:
        space: ofa_mbv3 (published for width 1.2) or ofa_resnet50.
        accuracy: file of an accuracy predictor; null: no top1.
        latency: file of a latency table of MobileNetV3; null: no latency.
        image_size: height and width of the images, 160 to 224.
    """

    chunk = 1000

    def __init__(
        self,
        space: SearchSpace,
        accuracy: str | None = None,
        latency: str | None = None,
        image_size: int = 224,
    ) -> None:
        if not 160 <= image_size <= 224:
            raise NasplugError(f"image_size must be from 160 to 224, but got {image_size}")
        self.space = space
        self.accuracy = accuracy
        self.latency = latency
        self.image_size = image_size

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Those whose file is named."""
        metrics = {}
        if self.accuracy is not None:
            metrics["top1"] = Metric("%", "maximize")
        if self.latency is not None:
            metrics["latency"] = Metric("ms", "minimize")
        return metrics

    def prepare(self) -> None:
        """Read the files; an error if they are not what they should be."""
        self.evaluate([self.space.smallest], list(self.metrics))

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Rounded to 1e-6, since the last digits of a sum depend on how many are summed at once."""
        archs = [trial.arch for trial in trials]
        space = self.space
        if not isinstance(space, Published):
            raise NasplugError(
                f"ofa_surrogate measures once-for-all networks, but the space is "
                f"{type(space).__name__}; type +space=ofa_mbv3_w12 or +space=ofa_resnet50"
            )
        configs = [space.to_ofa(arch) for arch in archs]
        values: dict[str, list[float]] = {}
        if "top1" in names:
            values["top1"] = self._predictor(configs, self.image_size).tolist()
        if "latency" in names:
            values["latency"] = [self._table(config) for config in configs]
        return [
            Measurement({name: round(values[name][i], 6) for name in names})
            for i in range(len(configs))
        ]

    @cached_property
    def _predictor(self) -> AccuracyPredictor:
        return AccuracyPredictor(str(self.accuracy))

    @cached_property
    def _table(self) -> LatencyTable:
        table = LatencyTable(str(self.latency))
        if table.image_size != self.image_size:
            raise NasplugError(
                f"evaluator.latency must be measured at image_size={self.image_size}, but "
                f"{self.latency} is for {table.image_size}"
            )
        return table
