"""The evaluator of what networks cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property

from nasplug import (
    Evaluator,
    Measurement,
    Metric,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SearchSpace,
    call,
    seeded,
)
from nasplug.contracts.capabilities import TimedSpace
from nasplug.contracts.types import Architecture, Outcome, Trial
from nasplug.toolkit.networks.counting import multiply_adds, parameters
from nasplug.toolkit.networks.devices import resolve_device
from nasplug_costs.timing import latency


class Costs(Evaluator):
    """Measures `params` (learnt numbers), `macs` (multiply-adds of one example) and `latency`
    (milliseconds of one forward pass of `batch_size` examples on `device`, or of what the space says is
    timed, `capabilities.TimedSpace`: of HAT's transformers the encoder once, then decoder steps with
    cache).

    Params and macs are exact: the space's closed form where it has one, else counted on the built
    network (`nasplug.multiply_adds` says what counts). Latency is the median of repeated runs in
    inference mode, after `warm_up` runs, with `threads` threads; its std is the interquartile
    range. Other costs that the space computes are metrics as well, smaller being better.
    """

    runs_alone = ("latency",)

    def __init__(
        self,
        space: SearchSpace,
        batch_size: PositiveInt = 1,
        device: str = "auto",
        threads: PositiveInt = 1,
        warm_up: NonNegativeInt = 5,
        seconds: PositiveFloat = 0.2,
    ) -> None:
        self.space = space
        self.batch_size = batch_size
        self.device = device
        self.threads = threads
        self.warm_up = warm_up
        self.seconds = seconds

    @cached_property
    def closed_form(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics that the space knows in closed form."""
        return tuple(name for name in self.space.costs([self.space.smallest]) if name != "latency")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """params and macs are counts, without a unit."""
        names = dict.fromkeys(("params", "macs", *self.closed_form))
        counts = {name: Metric("", "minimize") for name in names}
        return {**counts, "latency": Metric("ms", "minimize")}

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Closed forms for all at once; a network is built only where something is left to measure."""
        archs = [trial.arch for trial in trials]
        start = time.perf_counter()
        known = [name for name in names if name in self.closed_form]
        left = [name for name in names if name not in self.closed_form]
        columns = self.space.costs(archs) if known else {}
        share = (time.perf_counter() - start) / max(len(archs), 1)
        return [
            self._measure(arch, {name: float(columns[name][i]) for name in known}, left, share)
            for i, arch in enumerate(archs)
        ]

    def _measure(
        self, arch: Architecture, values: dict[str, float], names: Sequence[str], seconds: float
    ) -> Outcome:
        start = time.perf_counter()
        std = {}
        if names:
            with seeded(0):
                model = self.space.build(arch)
                if "params" in names:
                    values["params"] = float(parameters(model))
                if "macs" in names:
                    values["macs"] = float(multiply_adds(model, self.space.example_inputs(1)))
                if "latency" in names:
                    inputs = self.space.example_inputs(self.batch_size)
                    values["latency"], std["latency"] = latency(
                        model,
                        inputs,
                        resolve_device(self.device),
                        self.threads,
                        self.warm_up,
                        self.seconds,
                        self.space.timed if isinstance(self.space, TimedSpace) else call,
                    )
        return Measurement(values, seconds + time.perf_counter() - start, std)
