"""A task of one's own: data from memory, a loss, and a quality with a name and a unit.

python examples/own_task.py
"""

import logging

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

import nasplug
from nasplug import Metric, Task


class OddDigits(Task):
    """Is a handwritten digit odd? One logit an image; quality is the F1 score."""

    metrics = {"f1": Metric("%", "maximize")}
    network_dimensions = {"num_classes": 1, "in_channels": 1, "image_size": 16}

    def data(self, *rests: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, 1, 16, 16) and targets (n, 1): of every five three train, one validates, one tests."""
        images, digits = load_digits(return_X_y=True)
        part = np.isin(np.arange(len(digits)) % 5, rests)
        x = torch.tensor(images[part], dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
        x = functional.interpolate(x, size=16, mode="bilinear")
        return x, torch.tensor(digits[part] % 2, dtype=torch.float32)[:, None]

    def train_batches(self, batch_size, seed, epoch=0):
        """Shuffled by (seed, epoch)."""
        x, y = self.data(0, 1, 2)
        order = np.random.default_rng((seed, epoch)).permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            part = order[start : start + batch_size]
            yield x[part], y[part]

    def criterion(self, outputs, batch):
        """Binary cross-entropy."""
        return functional.binary_cross_entropy_with_logits(outputs, batch[-1])

    def distillation(self, outputs, teacher):
        """The same against the teacher's probabilities."""
        return functional.binary_cross_entropy_with_logits(outputs, teacher.sigmoid())

    def quality(self, model, metrics):
        """F1 on the validation images."""
        return self.f1(model, *self.data(3))

    def test_quality(self, model, metrics):
        """F1 on the test images, which no search sees: what to expect of a network that was found."""
        return self.f1(model, *self.data(4))

    def f1(self, model, x, y):
        """As the metric's name says."""
        with torch.no_grad():
            odd = model(x) > 0
        hits = float((odd & (y == 1)).sum())
        return {"f1": 200 * hits / max(float(odd.sum() + y.sum()), 1)}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    task = OddDigits()
    space = nasplug.make("space", "ofa_mbv3", width_mult=0.5, **task.network_dimensions)
    schedule = nasplug.make("training", "sandwich", epochs=2, random=1)
    supernet = nasplug.make("evaluator", "supernet", space=space, task=task, training=schedule)
    costs = nasplug.make("evaluator", "costs", space=space)
    run = nasplug.search(space, [supernet, costs], nasplug.make("strategy", "random"), budget=10)
    print(run.front()[["number", "f1", "f1_test", "macs"]])
