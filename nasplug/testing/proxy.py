"""What every zero-cost proxy must do."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from nasplug.contracts.proxy import ProxyScorer, ZeroCostProxy
from nasplug.contracts.task import Task
from nasplug.contracts.types import Failure
from nasplug.plugins.building import make
from nasplug.testing.described import check_described
from nasplug.testing.fakes import ToySpace, ToyTask
from nasplug.toolkit.networks.seeding import seeded


@cache
def _scorer() -> ProxyScorer:
    """The installed evaluator of proxies."""
    scorer: ProxyScorer = make("evaluator", "proxies", space=ToySpace())
    return scorer


class ProxyContract:
    """Give a `proxy` fixture. It is tried on small convolutional networks; override `network` and
    `task` for a proxy that is about something else."""

    tolerance: float | None = 1e-3
    """How far, relatively, float32 may be from float64; None where the definition is not continuous."""

    def network(self, width: int = 8) -> Any:
        """An untrained network that the proxy covers; a larger `width` is a larger one."""
        from torch import nn

        with seeded(1):
            return nn.Sequential(
                nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, width, 3, padding=1),
                nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3)),
                nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 1)),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3),
            )  # fmt: skip

    def task(self) -> Task:
        """A task that fits the network."""
        return ToyTask(columns=36)

    def score(self, proxy: ZeroCostProxy, network: Any, seed: int = 0) -> float:
        """The score, as the evaluator has it."""
        import torch

        def example_inputs(n: int) -> tuple[Any, ...]:
            return (torch.zeros(n, 36),)

        proxies = {"proxy": proxy}
        found = _scorer().score_network(proxies, network, example_inputs, self.task(), 16, seed)
        value = found["proxy"]
        assert not isinstance(value, Failure), value
        return value

    def test_score_is_finite_and_repeats_in_any_order(self, proxy: ZeroCostProxy) -> None:
        small, large = self.network(4), self.network(8)
        first = [self.score(proxy, small), self.score(proxy, large)]
        second = [self.score(proxy, large), self.score(proxy, small)]
        assert all(map(math.isfinite, first))
        assert first == second[::-1]

    def test_is_described_by_its_constructor_arguments(self, proxy: ZeroCostProxy) -> None:
        check_described(proxy)

    def test_tells_networks_apart(self, proxy: ZeroCostProxy) -> None:
        assert self.score(proxy, self.network(4)) != self.score(proxy, self.network(8))

    def test_leaves_everything_bit_for_bit(self, proxy: ZeroCostProxy) -> None:
        import torch

        for training in (True, False):
            network = self.network().train(training)
            first = next(iter(network.parameters()))
            first.grad = torch.ones_like(first)
            before = {k: v.clone() for k, v in network.state_dict().items()}
            torch.manual_seed(11)
            state = torch.random.get_rng_state()
            self.score(proxy, network)
            assert torch.equal(state, torch.random.get_rng_state())
            after = network.state_dict()
            assert all(torch.equal(before[k], after[k]) for k in before)
            assert all(before[k].dtype == after[k].dtype for k in before)
            assert all(m.training == training for m in network.modules())
            grads = [p.grad for p in network.parameters()]
            assert grads[0] is not None and (grads[0] == 1).all()
            assert all(g is None for g in grads[1:])
            assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
            assert all(p.requires_grad for p in network.parameters())

    def test_single_and_double_precision_agree(self, proxy: ZeroCostProxy) -> None:
        if self.tolerance is None:
            return
        import copy

        double = copy.copy(proxy)
        double.double = True
        single = self.score(proxy, self.network())
        assert math.isclose(single, self.score(double, self.network()), rel_tol=self.tolerance)
