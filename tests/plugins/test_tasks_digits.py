"""The embedded task."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from nasplug_tasks.digits import Digits
from torch import nn
from torch.nn import functional

from nasplug import NasplugError
from nasplug.testing import TaskContract


class TestDigits(TaskContract):
    @pytest.fixture
    def task(self) -> Digits:
        return Digits(image_size=8)

    @pytest.fixture
    def model(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class Constant(nn.Module):
    """The same scores for every image."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (1, 12, 12)
        return self.scores.expand(len(x), 10)


def plain(size: int) -> Digits:
    return Digits(image_size=size, shift=0, rotation=0, scale=0)


def test_quality_of_known_answers() -> None:
    task = plain(12)
    even = task.quality(Constant(torch.zeros(10)), task.metrics)
    assert even["loss"] == pytest.approx(log(10))
    shares = [
        task.quality(Constant(torch.eye(10)[k] * 100), task.metrics)["top1"] for k in range(10)
    ]
    assert sum(shares) == pytest.approx(100) and min(shares) > 9 and max(shares) < 11


def test_every_digit_is_in_one_part_once() -> None:
    from sklearn.datasets import load_digits

    def rows(pixels: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, ...]]:
        return [
            (*p.flatten().mul(100).round().tolist(), int(y))
            for p, y in zip(pixels, labels, strict=True)
        ]

    task = plain(8)
    train = [b for b in task.train_batches(1, seed=0)]
    calibration = rows(
        *(torch.cat(part) for part in zip(*task.calibration_batches(100), strict=True))
    )
    found = rows(*(torch.cat(part) for part in zip(*train, strict=True)))
    held, tested = (
        rows(*(torch.cat(part) for part in zip(*task._enlarged(name), strict=True)))
        for name in ("val", "test")
    )
    pixels, labels = load_digits(return_X_y=True)
    scaled = torch.tensor((pixels / 16 - 0.305) / 0.376, dtype=torch.float32)
    assert sorted(found + held + tested) == sorted(rows(scaled, torch.tensor(labels)))
    assert len(calibration) == 512 and set(calibration) <= set(found)
    assert (len(found), len(held), len(tested)) == (1266, 355, 176)
    for part, share in ((held, 0.2), (tested, 0.1)):
        counts = np.bincount([row[-1] for row in part])
        assert counts.tolist() == [int(n * share) for n in np.bincount(labels)]


def test_enlarging_is_bilinear() -> None:
    images = next(plain(8).calibration_batches(5))[0]
    large = next(plain(24).calibration_batches(5))[0]
    expected = functional.interpolate(images, size=24, mode="bilinear")
    inside = (..., slice(2, -2), slice(2, -2))  # the rim fades into the background
    torch.testing.assert_close(large[inside], expected[inside], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("knob", [{"shift": 0.1}, {"rotation": 20.0}, {"scale": 0.2}])
def test_each_distortion_changes_training_alone(knob: dict[str, float]) -> None:
    task, still = (
        Digits(**{"image_size": 12, "shift": 0.0, "rotation": 0.0, "scale": 0.0, **knob}),
        plain(12),
    )
    one, other = next(task.train_batches(32, 0)), next(still.train_batches(32, 0))
    assert torch.equal(one[1], other[1]) and not torch.allclose(one[0], other[0], atol=0.1)
    assert torch.equal(next(task.calibration_batches(9))[0], next(still.calibration_batches(9))[0])
    assert (one[0] - other[0]).abs().mean() < 0.5  # it is still the same digit


def test_labels_belong_to_their_images() -> None:
    """Nearest class means, as a linear model, tell most digits apart."""
    task = plain(8)
    batches = list(task.train_batches(64, 0))
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    means = torch.stack([images[labels == k].mean(0).flatten() for k in range(10)])
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].weight.copy_(means)
        model[1].bias.copy_(-means.square().sum(1) / 2)
    assert 85 < task.quality(model, task.metrics)["top1"] < 97


def test_whole_batches_and_label_smoothing() -> None:
    assert {len(y) for _, y in plain(8).train_batches(64, 0)} == {64}
    assert [len(y) for _, y in plain(8).train_batches(5000, 0)] == [1266]
    scores, labels = (
        torch.randn(4, 10, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 3]),
    )
    smooth = Digits(label_smoothing=0.1).criterion(scores, (None, labels))
    logs = scores.log_softmax(1)
    expected = -(0.9 * logs[range(4), labels] + 0.1 * logs.mean(1)).mean()
    assert smooth.item() == pytest.approx(expected.item())


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(
        NasplugError, match="image_size of task=digits must be at least 8, but got 4"
    ):
        Digits(image_size=4)
