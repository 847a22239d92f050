"""The pieces of BigNAS, and the teacher of progressive shrinking: what is random, and how blocks begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.schedule import Schedule
from nasplug_training.trainer import Trainer
from torch import Tensor, nn
from torch.nn import functional

import nasplug
from nasplug import NasplugError, seeded
from nasplug.elastic import Choice, ElasticBatchNorm1d, ElasticLinear, ElasticResidual, ElasticSpace
from nasplug.testing import ToySpace, ToyTask
from nasplug.toolkit.training.regularisation import train_without_dropout, zero_last_norms

OFA = {"num_classes": 3, "in_channels": 1, "image_size": 32}


class Random(nn.Module):
    """Dropout by the function."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5, self.training)


class Dropping(ElasticSpace):
    """A perceptron with a residual block, and two kinds of dropout."""

    def model(self) -> nn.Module:
        width = Choice("width", (2, 4, 8))
        body = nn.Sequential(
            ElasticLinear(6, width), ElasticLinear(width, 6), ElasticBatchNorm1d(6)
        )
        tail = nn.Sequential(nn.Dropout(0.5), Random(), ElasticLinear(6, 3))
        return nn.Sequential(ElasticResidual(body), nn.Tanh(), tail)

    def example_inputs(self, batch_size: int) -> tuple[Tensor, ...]:
        return (torch.linspace(-1, 1, batch_size * 6).view(batch_size, 6),)


def trainer(space: Any, **knobs: Any) -> Trainer:
    with seeded(0):
        supernet = space.supernet()
    schedule = Schedule(**{"epochs": 1, "batch_size": 32, "report_every": 0, **knobs})
    return Trainer(supernet, space, ToyTask(), schedule, 0, torch.device("cpu"))


def test_the_teacher_says_the_same_twice(tmp_path: Path) -> None:
    phases = [{"options": {"*": 1}}, {}]
    made = trainer(
        Dropping(), largest=False, smallest=False, random=1, label_weight=1.0, phases=phases
    )
    made.train(Checkpoint(tmp_path / "none"))
    x, _ = next(made.task.train_batches(32, 0))
    assert isinstance(made.teacher, nn.Module)
    with torch.no_grad():
        assert torch.equal(made.teacher(x), made.teacher(x))
        alone = made.teacher(x[:16])
        assert not torch.allclose(made.teacher(x)[:16], alone), "it goes by the batch's statistics"
        made.teacher.train()
        assert not torch.equal(made.teacher(x), made.teacher(x)), "with dropout it would not"


def test_the_teacher_is_the_same_after_a_checkpoint(tmp_path: Path) -> None:
    made = trainer(Dropping(), largest=False, smallest=False, random=1)
    made.teacher = made._largest()
    made._restore(_Kept(made._state(1)))
    assert [m.training for m in made.teacher.modules() if isinstance(m, nn.BatchNorm1d)] == [True]
    assert not any(m.training for m in made.teacher.modules() if isinstance(m, nn.Dropout | Random))


class _Kept(Checkpoint):
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def load(self) -> dict[str, Any]:
        return self.state


def test_regularize_largest_leaves_dropout_to_the_largest(tmp_path: Path) -> None:
    seen: dict[str, list[tuple[bool, bool]]] = {}
    for regularize in ("all", "largest"):
        made = trainer(Dropping(), regularize=regularize, accumulate=2)
        modes = seen.setdefault(regularize, [])
        norm, drop = (
            next(m for m in made.model.modules() if isinstance(m, kind))
            for kind in (ElasticBatchNorm1d, nn.Dropout)
        )
        drop.register_forward_pre_hook(
            lambda module, _, norm=norm, modes=modes: modes.append((module.training, norm.training))
        )
        made._epoch(0, made.plan[0], 0, 3, _Bar())
    assert seen["all"] == [(True, True)] * 12
    assert seen["largest"] == [(True, True), *[(False, True)] * 3] * 3


class _Bar:
    def advance(self, steps: int, **shown: str) -> None: ...


def residuals(network: nn.Module, x: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    """The kind, input and output of every block with a shortcut, in training mode."""
    found: list[tuple[str, Tensor, Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, given, out: found.append((type(module).__name__, given[0], out))
        )
        for module in network.modules()
        if getattr(module, "residual_body", None) is not None
    ]
    with torch.no_grad():
        network.train()(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", ["ofa_mbv3", "ofa_proxyless"])
def test_mobile_blocks_begin_as_their_shortcuts(name: str) -> None:
    space = nasplug.make("space", name, width_mult=0.25, **OFA)
    before, after = (trainer(space, zero_init=z).model for z in (False, True))
    x = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not any(torch.equal(given, out) for _, given, out in residuals(before, x))
    blocks = residuals(after, x)
    assert len(blocks) >= 15 and all(torch.equal(given, out) for _, given, out in blocks)
    zeros = [
        n for n, p in after.named_parameters() if p.ndim == 1 and "bn.weight" in n and not p.any()
    ]
    assert len(zeros) == len(blocks), "blocks without a shortcut are as they were"
    after(x).sum().backward()
    assert all(after.get_parameter(n).grad.any() for n in zeros), "they learn"


def test_bottlenecks_begin_as_their_shortcuts_but_not_what_could_not_learn() -> None:
    supernet: Any = nasplug.make("space", "ofa_resnet50", **OFA).supernet()
    assert zero_last_norms(supernet.modules()) == 18 == len(list(supernet.blocks))
    for block in supernet.blocks:
        assert not block.conv3.bn.weight.any() and block.conv2.bn.weight.all()
    assert supernet.input_stem[1].conv.bn.weight.all(), "a ReLU follows it"


def test_elastic_residuals_begin_as_their_shortcuts() -> None:
    made = trainer(Dropping(), zero_init=True)
    x = torch.randn(8, 6)
    ((kind, given, out),) = residuals(made.model, x)
    assert kind == "ElasticResidual" and torch.equal(given, out)


def test_zero_init_needs_residual_blocks() -> None:
    with pytest.raises(NasplugError, match="zero_init=true of training needs residual blocks"):
        trainer(ToySpace(), zero_init=True)


def test_without_dropout_is_batch_norm_alone() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    assert train_without_dropout(network) is network
    assert [m.training for m in network] == [False, True, False]


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"regularize": "larges"}, "unknown value of regularize 'larges'; did you mean largest"),
        ({"regularize": "largest", "largest": False}, "regularize=largest needs largest=true"),
    ],
)
def test_mistakes_are_named(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(NasplugError, match=words):
        Schedule(**knobs)


def test_the_choice_sets_the_pieces(tmp_path: Path) -> None:
    made = nasplug.make("training", "bignas")
    assert (made.largest, made.smallest, made.random, made.label_weight) == (True, True, 2, 0.0)
    assert (made.final_lr, made.zero_init, made.regularize) == (0.05, True, "largest")
    learnt = trainer(Dropping(), epochs=30, zero_init=True, final_lr=0.05, regularize="largest")
    assert learnt.train(Checkpoint(tmp_path / "none"))["largest"]["top1"] > 75
