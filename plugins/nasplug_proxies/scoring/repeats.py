"""Builds networks and scores them, several times over."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev

from nasplug import SearchSpace, Task, ZeroCostProxy, seeded
from nasplug.contracts.types import Architecture, Failure
from nasplug.toolkit.networks.devices import resolve_device
from nasplug_proxies.scoring.batches import ProxyBatches
from nasplug_proxies.scoring.scoring import scores

Score = tuple[float, float]
"""Mean and standard deviation over repeats."""


class Scorer:
    """Scores architectures of `space`, each on networks with the weights of `seed`, `seed + 1`, ..
    and batches by the same seeds, which are made once."""

    def __init__(
        self,
        space: SearchSpace,
        task: Task | None,
        batch_size: int,
        repeats: int,
        seed: int,
        device: str,
    ) -> None:
        self._space = space
        place = resolve_device(device)
        self._feeds = [
            ProxyBatches(space.example_inputs, task, batch_size, seed + repeat, place)
            for repeat in range(repeats)
        ]

    def check(self, proxies: Mapping[str, ZeroCostProxy]) -> None:
        """An error in one line where a proxy needs what the task does not give."""
        for name, proxy in proxies.items():
            self._feeds[0].examples(name, proxy)

    def score(
        self, arch: Architecture, proxies: Mapping[str, ZeroCostProxy]
    ) -> dict[str, Score | Failure]:
        """By each proxy, or why not. What one repeat cannot score has no score."""
        repeats = []
        for feed in self._feeds:
            with seeded(feed.seed):
                model = self._space.build(arch)
            repeats.append(scores(proxies, model, feed))
        return {name: _summary([found[name] for found in repeats]) for name in proxies}


def _summary(found: list[float | Failure]) -> Score | Failure:
    values = []
    for value in found:
        if isinstance(value, Failure):
            return value
        values.append(value)
    return fmean(values), stdev(values) if len(values) > 1 else 0.0
