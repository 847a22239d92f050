"""Images to tensors: augmentation, cropping and batches, with Pillow alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from typing import Any, final

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader, Dataset, default_collate

from nasplug import NasplugError
from nasplug_tasks.decoding import read_rgb

Transform = Callable[[Image.Image, np.random.Generator], torch.Tensor]
Sample = tuple[str, int]


@final
@dataclass(frozen=True)
class Augmentation:
    """For training: a random crop of area `crop_scale` to 1 and aspect 3/4 to 4/3, resized to
    `size` x `size` (Szegedy et al. 2015), a flip, and brightness and saturation times 1 +- x."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_scale: float
    flip: float
    brightness: float
    saturation: float

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        """Shape (3, size, size), normalised."""
        box = self._box(image.width, image.height, rng)
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        if rng.random() < self.flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for enhance, amount in (
            (ImageEnhance.Brightness, self.brightness),
            (ImageEnhance.Color, self.saturation),
        ):
            image = enhance(image).enhance(1 + amount * rng.uniform(-1, 1))
        return _tensor(image, self.mean, self.std)

    def _box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """(left, top, right, bottom); the largest centred one if ten draws do not fit."""
        for _ in range(10):
            area = width * height * rng.uniform(self.crop_scale, 1)
            aspect = exp(rng.uniform(log(3 / 4), log(4 / 3)))
            w, h = round(sqrt(area * aspect)), round(sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return left, top, left + w, top + h
        w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h


@final
@dataclass(frozen=True)
class CentreCrop:
    """For validation: the shorter side to ceil(size / 0.875), then `size` x `size` at the centre."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        """Shape (3, size, size), normalised; nothing is random."""
        short = ceil(self.size / CROP)
        scale = short / min(image.size)
        width, height = (max(short, int(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        image = image.crop((left, top, left + self.size, top + self.size))
        return _tensor(image, self.mean, self.std)


def _tensor(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


CROP = 0.875
"""Of the shorter side of a resized validation image, the part that the crop keeps."""


@final
class Images(Dataset[Any]):
    """Image files with their labels, transformed by a generator of (seed, epoch, index) alone.

    A file that cannot be read is returned as the error: raised in a reading process, it would
    arrive as a traceback.
    """

    def __init__(self, samples: list[Sample], transform: Transform, seed: tuple[int, int]) -> None:
        self.samples = samples
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int] | NasplugError:
        file, label = self.samples[index]
        try:
            image = read_rgb(file)
        except NasplugError as error:
            return error
        return self.transform(image, np.random.default_rng([*self.seed, index])), label


@final
class ImageBatches(Iterator[tuple[torch.Tensor, torch.Tensor]]):
    """One pass over `images` in the given order: (images (b, 3, h, w), labels (b,))."""

    def __init__(self, images: Images, order: Sequence[int], batch_size: int, workers: int) -> None:
        loader = DataLoader(
            images,
            batch_size=batch_size,
            sampler=order,
            num_workers=workers,
            collate_fn=_collate,
            generator=torch.Generator(),  # else starting workers draws from torch's global one
        )
        self._batches = iter(loader)

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        batch: tuple[torch.Tensor, torch.Tensor] | NasplugError = next(self._batches)
        if isinstance(batch, NasplugError):
            raise batch
        return batch


def _collate(samples: list[Any]) -> Any:
    return next((s for s in samples if isinstance(s, NasplugError)), None) or default_collate(
        samples
    )
