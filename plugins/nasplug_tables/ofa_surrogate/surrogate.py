"""The evaluator of the published once-for-all predictors and tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

from nasplug import Evaluator, Measurement, Metric, NasplugError, PositiveInt, SearchSpace
from nasplug.contracts.capabilities import OnceForAllSpace
from nasplug.contracts.types import Outcome, Trial, full_trials
from nasplug_tables.ofa_surrogate.accuracy import AccuracyPredictor
from nasplug_tables.ofa_surrogate.latency import LatencyTable
from nasplug_tables.ofa_surrogate.networks import MOBILENET, Networks

log = logging.getLogger(__name__)


@final
class OfaSurrogate(Evaluator):
    """`top1` from a published accuracy predictor, `latency` from a published table of block latencies.

    A search takes seconds: nothing is trained or run. The predictor was fitted to accuracies on
    held-out training images, which are 5 to 6 points above ImageNet's validation accuracy.

    The files describe the networks that they were made of, MobileNetV3 of width 1.2 or ResNet-50, each
    with 1,000 classes; a space of others is an error.

    Args:
        space: ofa_mbv3_w12 or ofa_resnet50.
        accuracy: file of an accuracy predictor; null: no top1.
        latency: file of a latency table of MobileNetV3; null: no latency.
        image_size: height and width of the images in pixels; null: those of the space.
        extrapolate: true: accept networks of the same blocks with other widths or numbers of classes,
            with the values of the published ones; for comparing strategies, not for real figures.
    """

    chunk = 1000

    def __init__(
        self,
        space: SearchSpace,
        accuracy: str | None = None,
        latency: str | None = None,
        image_size: PositiveInt | None = None,
        extrapolate: bool = False,
    ) -> None:
        self.space = space
        self.accuracy = accuracy
        self.latency = latency
        self.image_size = image_size
        self.extrapolate = extrapolate

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
        """Read the files; an error unless they describe the networks of the space."""
        self.evaluate(full_trials([self.space.smallest]), list(self.metrics))
        if self._size != self._space_size:
            log.warning(
                "top1 and latency are for images of %d pixels, but the space's have %d, for which its "
                "macs are; type space.image_size=%d",
                self._size,
                self._space_size,
                self._size,
            )

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Rounded to 1e-6, since the last digits of a sum depend on how many are summed at once."""
        archs = [trial.arch for trial in trials]
        configs = [self._published.to_ofa(arch) for arch in archs]
        values: dict[str, list[float]] = {}
        if "top1" in names:
            values["top1"] = self._predictor(configs, self._size).tolist()
        if "latency" in names:
            values["latency"] = [self._table(config) for config in configs]
        return [
            Measurement({name: round(values[name][i], 6) for name in names})
            for i in range(len(configs))
        ]

    @property
    def _published(self) -> OnceForAllSpace:
        if not isinstance(self.space, OnceForAllSpace):
            raise NasplugError(
                f"ofa_surrogate measures once-for-all networks, but the space is "
                f"{type(self.space).__name__}; type +space=ofa_mbv3_w12 or +space=ofa_resnet50"
            )
        return self.space

    @cached_property
    def _space_size(self) -> int:
        """Width of the space's images in pixels."""
        inputs = self.space.example_inputs(1)
        (images,) = inputs.values() if isinstance(inputs, Mapping) else inputs
        return int(images.shape[-1])

    @property
    def _size(self) -> int:
        return self._space_size if self.image_size is None else self.image_size

    @cached_property
    def _predictor(self) -> AccuracyPredictor:
        predictor = AccuracyPredictor(str(self.accuracy))
        self._check(predictor.networks, str(self.accuracy), "evaluator.accuracy", "predictor")
        return predictor

    @cached_property
    def _table(self) -> LatencyTable:
        table = LatencyTable(str(self.latency))
        self._check(MOBILENET, str(self.latency), "evaluator.latency", "table")
        if table.image_size != self._size:
            raise NasplugError(
                f"evaluator.latency must be measured at image_size={self._size}, but "
                f"{self.latency} is for {table.image_size}"
            )
        return table

    def _check(self, networks: Networks, file: str, setting: str, kind: str) -> None:
        """Raise unless the file describes this space's networks at this image size."""
        sizes = [("evaluator.image_size", self._size)]
        if not self.extrapolate:
            networks.check(self.space, file, setting, kind)
            sizes.append(("space.image_size", self._space_size))
        for name, size in sizes:
            if size not in networks.sizes:
                known = ", ".join(map(str, networks.sizes))
                raise NasplugError(
                    f"{name} must be one of {known}, which {file} is for, but got {size}"
                )
