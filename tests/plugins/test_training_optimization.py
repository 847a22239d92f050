"""How weights are updated: rates, optimisers and accumulated gradients, against computations by hand."""

from __future__ import annotations

from math import cos, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.optimization import DECAYS, Optimization
from nasplug_training.schedule import Schedule
from nasplug_training.trainer import Trainer
from nasplug_training.training import TrainingEvaluator
from torch import nn
from torch.nn import functional

import nasplug
from nasplug import NasplugError, seeded
from nasplug.elastic import Choice, ElasticLinear, ElasticSpace
from nasplug.testing import ToySpace, ToyTask


def optimization(**knobs: Any) -> Optimization:
    given = {"optimizer": "sgd", "lr": 0.4, "momentum": 0.9, "weight_decay": 0.0, "warmup": 2.0}
    return Optimization(**{**given, "clip": 0.0, **knobs})


@pytest.mark.parametrize(
    ("knobs", "rates"),
    [
        ({}, {1: 0.2, 2: 0.4, 4: 0.2 + 0.2 * cos(pi / 4), 6: 0.2, 10: 0}),
        ({"decay": "linear"}, {1: 0.2, 2: 0.4, 4: 0.3, 6: 0.2, 9: 0.05, 10: 0}),
        ({"decay": "inverse_sqrt"}, {1: 0.2, 2: 0.4, 4: 0.4 * sqrt(0.5), 8: 0.2, 10: 0.4 * sqrt(0.2)}),
        ({"decay": "constant"}, {0.5: 0.1, 2: 0.4, 6: 0.4, 10: 0.4}),
        ({"decay": "constant", "warmup": 0.0}, {0: 0.4, 10: 0.4}),
        ({"final_lr": 0.5}, {0.5: 0.1, 4: 0.2 + 0.2 * cos(pi / 4), 6.1: 0.2, 10: 0.2}),
        ({"decay": "linear", "final_lr": 0.05}, {1: 0.2, 6: 0.2, 9.5: 0.025, 9.7: 0.02, 10: 0.02}),
        ({"decay": "inverse_sqrt", "final_lr": 0.5}, {4: 0.4 * sqrt(0.5), 8: 0.2, 10: 0.2}),
    ],
)  # fmt: skip
def test_rates(knobs: dict[str, Any], rates: dict[float, float]) -> None:
    made = optimization(**knobs)
    assert {e: made.rate(0.4, e, 10) for e in rates} == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize("decay", DECAYS)
def test_a_rate_never_rises_after_the_warmup(decay: str) -> None:
    made = optimization(decay=decay, final_lr=0.1)
    rates = [made.rate(1.0, epoch, 10) for epoch in np.linspace(2, 10, 50)]
    assert rates == sorted(rates, reverse=True) and rates[0] == 1 and rates[-1] >= 0.1


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"decay": "cosin"}, "unknown decay 'cosin'; did you mean cosine"),
        ({"decay": "inverse_sqrt", "warmup": 0.0}, "needs warmup above 0, from which it falls"),
        ({"final_lr": 1.5}, "final_lr is a share of lr, so it must be 0 to 1, but got 1.5"),
        ({"beta2": 1.0}, "0 <= beta2 < 1 must hold, but got 1.0"),
        ({"accumulate": 0}, "accumulate must be at least 1, but got 0"),
    ],
)
def test_mistakes_are_named(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(NasplugError, match=words):
        optimization(**knobs)


def test_batches_are_grouped_and_the_last_group_is_what_is_left() -> None:
    grouped = list(optimization(accumulate=2).groups(range(5), 5))
    assert [group for group, _ in grouped] == [[0, 1], [2, 3], [4]]
    assert [done for _, done in grouped] == pytest.approx([0.2, 0.6, 0.9])
    assert list(optimization().groups("ab", 2)) == [(["a"], 0.25), (["b"], 0.75)]


class Linear(ToySpace):
    """A network without batch norms."""

    def build(self, arch: Any) -> nn.Module:
        return nn.Linear(self.columns, self.classes)


def trained(space: ToySpace, **knobs: Any) -> nn.Module:
    given = {"epochs": 2, "batch_size": 32, "lr": 0.1, "weight_decay": 0.1, "keep": False, **knobs}
    return TrainingEvaluator(space, ToyTask(), **given).network(space.largest)


def fresh(space: ToySpace) -> nn.Module:
    """What `trained` begins with: at a rate of 0 weights stay."""
    return trained(space, epochs=1, lr=0.0, momentum=0.0, weight_decay=0.0).train()


def batches(epoch: int, size: int = 32) -> Any:
    return ToyTask().train_batches(size, 0, epoch)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_by_default_every_bit_is_that_of_nesterov_along_a_cosine(momentum: float) -> None:
    expected = fresh(ToySpace(layers=1))
    for module in expected.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
    groups = [
        {"params": [p for p in expected.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in expected.parameters() if p.ndim == 1]},
    ]
    optimizer = torch.optim.SGD(groups, 0.1, momentum=momentum, nesterov=momentum > 0)
    for epoch in range(4):
        for step, (x, y) in enumerate(batches(epoch)):
            now = epoch + (step + 0.5) / 3
            rate = 0.1 * now / 1.5 if now < 1.5 else 0.1 / 2 * (1 + cos(pi * (now - 1.5) / 2.5))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            functional.cross_entropy(expected(x), y).backward()
            optimizer.step()
    made = trained(ToySpace(layers=1), epochs=4, warmup=1.5, momentum=momentum)
    assert made.state_dict().keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(made.state_dict()[name], value), name


def test_adam_is_adam_with_decay_in_the_gradient() -> None:
    """Kingma and Ba 2015, algorithm 1."""
    network = fresh(Linear())
    assert isinstance(network, nn.Linear)
    first = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    second = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    t = 0
    for epoch in range(2):
        for x, y in batches(epoch):
            t += 1
            network.zero_grad()
            functional.cross_entropy(network(x), y).backward()
            with torch.no_grad():
                for name, p in network.named_parameters():
                    gradient = p.grad + 0.1 * p if p.ndim > 1 else p.grad
                    first[name] = 0.8 * first[name] + 0.2 * gradient
                    second[name] = 0.98 * second[name] + 0.02 * gradient**2
                    scale = (second[name] / (1 - 0.98**t)).sqrt() + 1e-8
                    p -= 0.01 * first[name] / (1 - 0.8**t) / scale
    how = {"momentum": 0.8, "beta2": 0.98, "decay": "constant", "warmup": 0.0, "lr": 0.01}
    made = trained(Linear(), optimizer="adam", **how)
    torch.testing.assert_close(made.state_dict(), network.state_dict(), rtol=1e-5, atol=1e-6)
    other = trained(Linear(), optimizer="adamw", **how).weight
    assert not torch.allclose(other, network.weight, atol=1e-4)


def test_beta2_reaches_adam_and_adamw() -> None:
    for name in ("adam", "adamw"):
        made = optimization(optimizer=name, momentum=0.8, beta2=0.98).make_optimizer(
            nn.Linear(2, 2)
        )
        assert [g["betas"] for g in made.param_groups] == [(0.8, 0.98)] * 2


@pytest.mark.parametrize("knobs", [{}, {"optimizer": "adam", "clip": 0.05}, {"decay": "linear"}])
def test_accumulated_batches_are_a_larger_one(knobs: dict[str, Any]) -> None:
    """Of 96 samples: 3 batches of 32 a step, or one of 96."""
    small = trained(Linear(), batch_size=32, accumulate=3, **knobs)
    large = trained(Linear(), batch_size=96, **knobs)
    for name, value in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=0, atol=1e-6)
    assert not torch.allclose(small.weight, trained(Linear(), batch_size=32, **knobs).weight)


def test_the_tail_of_an_epoch_counts_with_what_it_has() -> None:
    """Batches of 20, 20, 20 | 20, 16: the second step is of the mean of two."""
    how = {"momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0, "decay": "constant", "epochs": 1}
    network = fresh(Linear())
    parts = list(batches(0, 20))
    for group in (parts[:3], parts[3:]):
        network.zero_grad()
        losses = [functional.cross_entropy(network(x), y) for x, y in group]
        (sum(losses) / len(losses)).backward()
        with torch.no_grad():
            for p in network.parameters():
                p -= 0.1 * p.grad
    made = trained(Linear(), batch_size=20, accumulate=3, **how)
    torch.testing.assert_close(made.state_dict(), network.state_dict(), rtol=0, atol=1e-6)


class NoNorms(ElasticSpace):
    """An elastic perceptron without batch norms."""

    def model(self) -> nn.Module:
        width = Choice("width", (2, 4, 8))
        return nn.Sequential(ElasticLinear(6, width), nn.Tanh(), ElasticLinear(width, 3))

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        return (torch.linspace(-1, 1, batch_size * 6).view(batch_size, 6),)


def test_a_super_network_too_learns_from_accumulated_batches(tmp_path: Path) -> None:
    """All sub-networks of a step see all of its batches; the progress counts batches."""
    states = []
    for size, accumulate in ((96, 1), (32, 3), (32, 1)):
        with seeded(0):
            supernet = NoNorms().supernet()
        how = Schedule(epochs=3, batch_size=size, accumulate=accumulate, report_every=0)
        made = Trainer(supernet, NoNorms(), ToyTask(), how, 0, torch.device("cpu"))
        made.train(Checkpoint(tmp_path / "none"))
        states.append(torch.cat([v.flatten() for v in supernet.state_dict().values()]))
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=1e-6)
    assert not torch.allclose(states[2], states[0], atol=1e-4)


def test_hat_learns_from_labels_with_its_own_adam() -> None:
    made = nasplug.make("training", "hat")
    assert (made.largest, made.smallest, made.random) == (False, False, 1)
    assert (made.label_weight, made.distillation_weight) == (1.0, 0.0)
    (group, *_) = made.make_optimizer(nn.Linear(2, 2)).param_groups
    assert group["betas"] == (0.9, 0.98) and group["weight_decay"] == 0.0
    given = {"space": ToySpace(), "task": ToyTask()}
    assert nasplug.make("evaluator", "supernet_hat", **given).training.optimizer == "adam"
    alone = nasplug.make("evaluator", "training_hat", **given)
    assert (alone.optimizer, alone.beta2, alone.batch_size) == ("adam", 0.98, 1024)
