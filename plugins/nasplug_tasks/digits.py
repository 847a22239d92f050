"""Task `digits`: scikit-learn's handwritten digits, real data that needs no download."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from math import radians
from typing import Annotated, Any, final

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from nasplug import NonNegativeFloat, PositiveInt, Range, Task, require_at_least
from nasplug_tasks.classification import METRICS, quality

SPLIT_SEED = 0
"""Of the one split there is: results of all seeds are comparable."""
MEAN, STD = 0.305, 0.376
"""Of the pixels, scaled to 0..1."""

Batch = tuple[torch.Tensor, torch.Tensor]


@final
class Digits(Task):
    """1,797 digits of 8 x 8 pixels (UCI, Alpaydin and Kaynak 1998), enlarged to `image_size`.

    One stratified split: 20 % of each class (355 images) validate, which is what searches look at,
    10 % (176) test, which no search sees, and the rest (1,266) trains; a fixed `calibration_images`
    of the training images, as they are, estimate batch-norm statistics. So a validation image is worth
    0.28 points of top1, a test image 0.57.
    Training images are moved, turned and scaled at random, each by up to the given amount.
    """

    metrics = METRICS
    test_from_training = True  # nobody else sets these images aside

    def __init__(
        self,
        image_size: Annotated[int, Range(ge=8)] = 24,
        shift: NonNegativeFloat = 0.0625,
        rotation: NonNegativeFloat = 8.0,
        scale: NonNegativeFloat = 0.08,
        label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        calibration_images: PositiveInt = 512,
        validation_batch: PositiveInt = 128,
    ) -> None:
        """`shift` and `scale` are fractions of the image, `rotation` is in degrees."""
        for name, value, least in (
            ("image_size", image_size, 8),
            ("calibration_images", calibration_images, 1),
            ("validation_batch", validation_batch, 1),
        ):
            require_at_least(f"{name} of task=digits", value, least)
        self.image_size = image_size
        self.shift = shift
        self.rotation = rotation
        self.scale = scale
        self.label_smoothing = label_smoothing
        self.calibration_images = calibration_images
        self.validation_batch = validation_batch
        self._ready: dict[str, list[Batch]] = {}
        self.network_dimensions = {"num_classes": 10, "in_channels": 1, "image_size": image_size}

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Shuffled and augmented; what is left over after full batches is dropped."""
        images, labels = self._training
        batch_size = min(batch_size, len(labels))
        rng = np.random.default_rng([seed, epoch])
        order = torch.from_numpy(rng.permutation(len(labels)))
        images = self._enlarge(images, self._distortions(rng, len(labels)))
        whole = len(labels) // batch_size * batch_size
        return _batches(images[order[:whole]], labels[order[:whole]], batch_size)

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """Full batches of the 1,266 training images."""
        images = len(self._training[1])
        return images // min(batch_size, images)

    def deployment_info(self) -> Mapping[str, Any]:
        """The ten digits, and how a picture of one is made ready."""
        size = {"height": self.image_size, "width": self.image_size}
        return {
            "labels": [str(digit) for digit in range(10)],
            "preprocessing": {
                "do_resize": True, "size": size, "do_rescale": True, "rescale_factor": 1 / 255,
                "do_normalize": True, "image_mean": [MEAN], "image_std": [STD], "num_channels": 1,
            },
        }  # fmt: skip

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """The first `calibration_images` training images (their order is random, once for all)."""
        images, labels = (part[: self.calibration_images] for part in self._training)
        return _batches(self._enlarge(images), labels, batch_size)

    def data_fingerprint(self) -> str:
        """The library that the images come with, and the split; they are always the same."""
        return f"scikit-learn {sklearn.__version__}, load_digits, split {SPLIT_SEED} in three"

    def criterion(self, outputs: Any, batch: Any) -> torch.Tensor:
        """Cross-entropy with label smoothing."""
        return functional.cross_entropy(outputs, batch[-1], label_smoothing=self.label_smoothing)

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the 355 validation images."""
        return quality(model, self._enlarged("val"))

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On the 176 test images."""
        found = quality(model, self._enlarged("test"))
        return {name: found[name] for name in found if name in metrics}

    @cached_property
    def _split(self) -> dict[str, Batch]:
        """Images (n, 1, 8, 8) normalised, and labels (n,); in random order, once for all."""
        pixels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
        pixels, labels = pixels[order].reshape(-1, 1, 8, 8), labels[order]
        part = np.full(len(labels), "train", "U5")
        for digit in range(10):
            places = np.flatnonzero(labels == digit)
            part[places[: len(places) // 5]] = "val"
            part[places[-(len(places) // 10) :]] = "test"
        images = torch.from_numpy(((pixels / 16 - MEAN) / STD).astype(np.float32))
        targets = torch.from_numpy(labels.astype(np.int64))
        return {
            name: (images[part == name], targets[part == name]) for name in ("train", "val", "test")
        }

    @property
    def _training(self) -> Batch:
        return self._split["train"]

    def _enlarged(self, part: str) -> list[Batch]:
        """The images of a part in batches, made once."""
        if part not in self._ready:
            images, labels = self._split[part]
            batches = _batches(self._enlarge(images), labels, self.validation_batch)
            self._ready[part] = list(batches)
        return self._ready[part]

    def _distortions(self, rng: np.random.Generator, n: int) -> torch.Tensor:
        """Random affine maps from output to input coordinates in [-1, 1], shape (n, 2, 3)."""
        angle = radians(self.rotation) * rng.uniform(-1, 1, n)
        zoom = 1 + self.scale * rng.uniform(-1, 1, n)
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        dx, dy = 2 * self.shift * rng.uniform(-1, 1, (2, n))
        maps = np.stack([cos, -sin, dx, sin, cos, dy], axis=1).reshape(n, 2, 3)
        return torch.from_numpy(maps.astype(np.float32))

    def _enlarge(self, images: torch.Tensor, maps: torch.Tensor | None = None) -> torch.Tensor:
        """Bilinear, to (n, 1, image_size, image_size); outside the image is background."""
        if maps is None:
            maps = torch.eye(2, 3).expand(len(images), 2, 3)
        size = [len(images), 1, self.image_size, self.image_size]
        grid = functional.affine_grid(maps, size, align_corners=False)
        dark = MEAN / STD  # what is outside reads as 0: shift background there
        return functional.grid_sample(images + dark, grid, align_corners=False) - dark


def _batches(images: torch.Tensor, labels: torch.Tensor, size: int) -> Iterator[Batch]:
    return iter(list(zip(torch.split(images, size), torch.split(labels, size), strict=True)))
