"""Scores untrained networks by zero-cost proxies, which share passes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from nasplug import Failure, NasplugError, ZeroCostProxy, seeded
from nasplug_proxies.scoring.batches import ProxyBatches, placed
from nasplug_proxies.scoring.probe import PassProbe
from nasplug_proxies.scoring.setup import ScoringSetup, arranged, preserved


def scores(
    proxies: Mapping[str, ZeroCostProxy], model: nn.Module, feed: ProxyBatches
) -> dict[str, float | Failure]:
    """The score of `model` by each proxy, or why it has none; the model stays as it was.

    Proxies that agree on network and input share one forward and backward pass. Scores are the same
    whatever else is scored beside or was before.
    """
    groups: dict[ScoringSetup, dict[str, ZeroCostProxy]] = {}
    for name, proxy in proxies.items():
        samples = proxy.samples or feed.batch_size
        setup = ScoringSetup(
            proxy.input, samples, proxy.init, proxy.training, proxy.normalisation, proxy.double
        )
        groups.setdefault(setup, {})[name] = proxy
    found: dict[str, float | Failure] = {}
    for setup, group in groups.items():
        examples = max((feed.examples(n, p) for n, p in group.items()), key=len)
        with torch.enable_grad(), seeded(feed.seed), arranged(model, setup, feed.device):
            dtype = torch.float64 if setup.double else torch.float32
            here = [placed(e, feed.device, dtype) for e in examples]
            needs = {need for proxy in group.values() for need in proxy.needs}
            probe = PassProbe(model, here, feed.task, needs)
            for name, proxy in group.items():
                with seeded(feed.seed), preserved(model):
                    found[name] = _score(name, proxy, probe)
    return {name: found[name] for name in proxies}


def _score(name: str, proxy: ZeroCostProxy, probe: PassProbe) -> float | Failure:
    try:
        value = float(proxy.score(probe))
    except NasplugError as error:
        return Failure(f"{name}: {error}")
    if not math.isfinite(value):
        return Failure(f"{name} must be finite, but for this network it is {value}")
    return value
