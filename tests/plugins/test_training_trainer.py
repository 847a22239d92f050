"""Training of super-networks on the toy space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.schedule import Schedule
from nasplug_training.trainer import Trainer
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, seeded
from nasplug.testing import ToySpace, ToyTask

PROGRESSIVE = {
    "largest": False, "smallest": False, "random": 2, "label_weight": 1.0, "epochs": 3,
    "phases": [{"options": {"*": 1}}, {"options": {"width*": 1}}, {"sort_channels": True}],
}  # fmt: skip


def trainer(task: Any = None, seed: int = 0, **knobs: Any) -> Trainer:
    space = ToySpace()
    with seeded(seed):
        supernet = space.supernet()
    schedule = Schedule(**{"epochs": 6, "batch_size": 32, "lr": 0.05, "report_every": 0, **knobs})
    return Trainer(supernet, space, task or ToyTask(), schedule, seed, torch.device("cpu"))


def weights(made: Trainer) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in made.model.state_dict().values()])


def none(folder: Path) -> Checkpoint:
    return Checkpoint(folder / "none")


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"optimizer": "adamw", "clip": 1.0, "report_every": 2},
        {
            "largest": False,
            "smallest": False,
            "random": 1,
            "label_weight": 1.0,
            "distillation_weight": 0.0,
            "epochs": 60,
        },
        {**PROGRESSIVE, "epochs": 20},
    ],
    ids=["sandwich", "adamw", "single-path", "progressive"],
)
def test_every_size_learns(knobs: dict[str, Any], tmp_path: Path) -> None:
    made = trainer(**{"epochs": 20, **knobs})
    before = made.report()
    after = made.train(none(tmp_path))
    assert list(after) == ["smallest", "middle", "largest"]
    assert after["largest"]["top1"] > 85
    assert all(after[size]["loss"] < before[size]["loss"] for size in after)


def test_the_seed_decides_every_bit(tmp_path: Path) -> None:
    runs = []
    for seed in (0, 0, 1):
        made = trainer(seed=seed)
        torch.manual_seed(len(runs))  # of no account
        made.train(none(tmp_path))
        runs.append(weights(made))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_one_sandwich_step_by_hand(tmp_path: Path) -> None:
    """Gradients of the largest on labels and of the smallest on its outputs, added up."""
    made = trainer(
        epochs=1, batch_size=96, random=0, momentum=0.0, weight_decay=0.0, warmup=0.0, lr=0.2
    )
    with seeded(0):
        net = made.supernet.space.supernet()
    made.train(none(tmp_path))

    x, y = next(made.task.train_batches(96, 0, 0))
    net.train()
    net.activate(net.space.largest)
    teacher = net(x)
    net.activate(net.space.smallest)
    student = net(x)
    soft = -(teacher.detach().softmax(1) * student.log_softmax(1)).sum(1).mean()
    (functional.cross_entropy(teacher, y) + soft).backward()
    rate = 0.2 / 2  # half-way down the cosine
    for (name, new), old in zip(made.model.named_parameters(), net.parameters(), strict=True):
        gradient = torch.zeros_like(old) if old.grad is None else old.grad
        torch.testing.assert_close(new, old - rate * gradient, msg=name)


class Stopping(ToyTask):
    """Breaks off in an epoch, as a killed process does."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Any]:
        for number, batch in enumerate(super().train_batches(batch_size, seed, epoch)):
            if epoch == self.at and number == 1:
                raise KeyboardInterrupt
            yield batch


@pytest.mark.parametrize(
    ("knobs", "at"),
    [
        ({}, 4),
        (PROGRESSIVE, 3),
        (PROGRESSIVE, 5),
        (PROGRESSIVE, 7),
        ({"accumulate": 2}, 4),
        ({**PROGRESSIVE, "accumulate": 2, "optimizer": "adam", "decay": "linear"}, 5),
    ],
)
def test_stopped_and_gone_on_with_is_never_stopped(
    knobs: dict[str, Any], at: int, tmp_path: Path
) -> None:
    straight = trainer(**knobs)
    straight.train(none(tmp_path))
    stopped = trainer(Stopping(at), **knobs)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(Checkpoint(tmp_path / "kept", interval=0))
    resumed = trainer(**knobs)
    resumed.train(Checkpoint(tmp_path / "kept"))
    assert torch.equal(weights(resumed), weights(straight))


def test_a_broken_checkpoint_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "half").write_bytes(b"half a file")
    assert Checkpoint(tmp_path / "half").load() is None
    assert "begins anew" in caplog.text


def test_progressive_shrinking_has_one_teacher_and_sorts_when_told(tmp_path: Path) -> None:
    phases = [*PROGRESSIVE["phases"], {"sort_channels": True}]
    made = trainer(**{**PROGRESSIVE, "phases": phases})
    widths_trained, teachers = [], []
    made.supernet.sort_channels = lambda trained: widths_trained.append(trained)
    made.task.distillation = lambda outputs, soft: (
        teachers.append(made.teacher) or (outputs * 0).sum()
    )
    made.train(none(tmp_path))
    assert widths_trained == [0, 1] and len(set(map(id, teachers))) == 1
    assert isinstance(made.teacher, nn.Module) and len(teachers) == 9 * 3 * 2


def test_a_loss_that_is_not_finite_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NasplugError, match=r"lower the learning rate \(evaluator.training.lr\)"):
        trainer(lr=1e30).train(none(tmp_path))


def test_no_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NasplugError, match="gave no batch"):
        trainer(ToyTask(samples=0)).train(none(tmp_path))
