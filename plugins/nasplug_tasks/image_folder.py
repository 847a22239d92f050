"""Task `image_folder`: a train/, a val/ and perhaps a test/ tree of class folders, ImageNet or one's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import PIL
import torch
from torch import nn
from torch.nn import functional

from nasplug import (
    NasplugError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Task,
    UnitInterval,
    require_at_least,
)
from nasplug_tasks.classification import METRICS, quality
from nasplug_tasks.image_tree import class_folders, files_fingerprint, image_files, place
from nasplug_tasks.images import (
    CROP,
    Augmentation,
    CentreCrop,
    ImageBatches,
    Images,
    Sample,
    Transform,
)

log = logging.getLogger(__name__)
CALIBRATION_SEED = 0
TEST = "test"
"""The folder of test images that need not be there."""
TEST_SEED = 0
"""Of the training images that are set aside where there is no such folder."""

Batch = tuple[torch.Tensor, torch.Tensor]
Samples = list[Sample]


@final
class ImageFolder(Task):
    """Images of `path`/`train`/CLASS/ and `path`/`validation`/CLASS/, any depth below, read as
    8-bit RGB (see `nasplug_tasks.decoding.read_rgb`).

    Training images are cropped, flipped and jittered at random; validation images are resized so
    that the shorter side is ceil(image_size / 0.875), then cropped at the centre. Batch-norm
    statistics are estimated on `calibration_images` random training images, augmented, always the
    same (2,000 in once-for-all, Cai et al. 2020). A batch depends on (seed, epoch) alone, not on
    the number of workers.

    Searches look at the validation images. Test images, which none sees, are those of `path`/`test`/CLASS/
    where there is such a folder; elsewhere `test_share` of each class of the training images is set
    aside, always the same ones, and is not trained on.
    """

    metrics = METRICS

    def __init__(
        self,
        path: str | None = None,
        train: str = "train",
        validation: str = "val",
        test: str | None = TEST,
        test_share: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        image_size: PositiveInt = 224,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[PositiveFloat] = (0.229, 0.224, 0.225),
        crop_scale: Annotated[float, Range(gt=0, le=1)] = 0.08,
        flip: UnitInterval = 0.5,
        brightness: NonNegativeFloat = 32 / 255,
        saturation: NonNegativeFloat = 0.5,
        label_smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.1,
        calibration_images: PositiveInt = 2000,
        validation_batch: PositiveInt = 128,
        workers: NonNegativeInt | None = None,
    ) -> None:
        """`workers` read images beside the training, by default one a CPU and at most 8. Without `test`
        no folder of test images is looked for."""
        _check(locals())
        self.path = None if path is None else str(Path(path).expanduser().absolute())
        self.train = train
        self.validation = validation
        self.test = test
        self.test_share = test_share
        self.image_size = image_size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.crop_scale = crop_scale
        self.flip = flip
        self.brightness = brightness
        self.saturation = saturation
        self.label_smoothing = label_smoothing
        self.calibration_images = calibration_images
        self.validation_batch = validation_batch
        self.workers = workers

    @property
    def network_dimensions(self) -> dict[str, int]:  # type: ignore[override]
        """As many classes as there are folders, and RGB images."""
        return {"num_classes": len(self.classes), "in_channels": 3, "image_size": self.image_size}

    @cached_property
    def classes(self) -> list[str]:
        """The class folders, sorted; those of training, validation and test must be the same."""
        train, validation = (
            class_folders(self._folder(name)) for name in (self.train, self.validation)
        )
        if differ := sorted(set(train) ^ set(validation)):
            raise NasplugError(
                f"{self.train}/ and {self.validation}/ of {self.path} must have the same class folders, "
                f"but {len(differ)} are in one only: {', '.join(differ[:3])}"
            )
        if (folder := self._test_folder) is not None:
            kinds = {entry.name for entry in folder.iterdir() if entry.is_dir()}
            if differ := sorted(kinds ^ set(train)):
                raise NasplugError(
                    f"{folder} must have the class folders of {self.train}/, but {len(differ)} are in one "
                    f"only: {', '.join(differ[:3])}; to set a share of the training images aside instead, "
                    "task.test=null"
                )
            class_folders(folder)
        return train

    @property
    def _test_folder(self) -> Path | None:
        """Where the test images are; None where they are a share of the training images."""
        if self.test in (None, self.validation) or (self.path is None):
            return None
        folder = Path(self.path, str(self.test))
        if not folder.is_dir() and self.test == TEST:
            return None
        others = {place(self._folder(name)) for name in (self.train, self.validation)}
        return None if place(self._folder(str(self.test))) in others else folder

    @property
    def test_from_training(self) -> bool:  # type: ignore[override]
        """Where there is no folder of test images."""
        return self._test_folder is None

    def train_batches(self, batch_size: int, seed: int, epoch: int = 0) -> Iterator[Batch]:
        """Shuffled and augmented; what is left over after full batches is dropped."""
        samples = self._samples["train"]
        order = np.random.default_rng([seed, epoch]).permutation(len(samples))
        batch_size = min(batch_size, len(samples))
        whole = len(samples) // batch_size * batch_size
        return self._load(samples, order[:whole], self._augmentation, batch_size, (seed, epoch))

    def steps_per_epoch(self, batch_size: int, seed: int) -> int:
        """Full batches of training images."""
        images = len(self._samples["train"])
        return images // min(batch_size, images)

    def deployment_info(self) -> Mapping[str, Any]:
        """The class folders in order, and the resize, crop and normalisation of validation images."""
        size, crop = ceil(self.image_size / CROP), self.image_size
        return {
            "labels": self.classes,
            "preprocessing": {
                "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": size},
                "do_center_crop": True, "crop_size": {"height": crop, "width": crop},
                "do_rescale": True, "rescale_factor": 1 / 255,
                "do_normalize": True, "image_mean": list(self.mean), "image_std": list(self.std),
            },
        }  # fmt: skip

    def calibration_batches(self, batch_size: int) -> Iterator[Batch]:
        """`calibration_images` random training images, augmented, always the same."""
        samples = self._samples["train"]
        order = np.random.default_rng(CALIBRATION_SEED).permutation(len(samples))
        some = order[: self.calibration_images]
        return self._load(samples, some, self._augmentation, batch_size, (CALIBRATION_SEED, 0))

    def data_fingerprint(self) -> str:
        """The classes in the order of their labels, and the files with their contents, or where
        these are many their sizes and times of change."""
        files = [file for samples in self._samples.values() for file, _ in samples]
        tree = files_fingerprint(self._folder(self.train).parent, files)
        return (
            f"{len(files)} images of {len(self.classes)} classes, Pillow {PIL.__version__}, {tree}"
        )

    def criterion(self, outputs: Any, batch: Any) -> torch.Tensor:
        """Cross-entropy with label smoothing."""
        return functional.cross_entropy(outputs, batch[-1], label_smoothing=self.label_smoothing)

    def quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On all validation images."""
        return self._quality(model, self._samples["val"])

    def test_quality(self, model: nn.Module, metrics: Collection[str]) -> dict[str, float]:
        """On all test images; nothing where there are none."""
        samples = self._samples["test"]
        found = self._quality(model, samples) if samples else {}
        return {name: found[name] for name in found if name in metrics}

    def _quality(self, model: nn.Module, samples: Samples) -> dict[str, float]:
        crop = CentreCrop(self.image_size, self.mean, self.std)
        return quality(
            model, self._load(samples, range(len(samples)), crop, self.validation_batch, (0, 0))
        )

    @property
    def _augmentation(self) -> Augmentation:
        return Augmentation(
            self.image_size,
            self.mean,
            self.std,
            self.crop_scale,
            self.flip,
            self.brightness,
            self.saturation,
        )

    def _load(
        self,
        samples: Samples,
        order: Sequence[int] | np.ndarray[Any, Any],
        transform: Transform,
        batch_size: int,
        seed: tuple[int, int],
    ) -> ImageBatches:
        workers = min(8, os.cpu_count() or 1) if self.workers is None else self.workers
        places = [int(place) for place in order]
        return ImageBatches(Images(samples, transform, seed), places, batch_size, workers)

    def _folder(self, name: str) -> Path:
        if self.path is None:
            raise NasplugError(
                "task=image_folder needs a folder with train/ and val/; give it with task.path=DIR"
            )
        folder = Path(self.path) / name
        if not folder.is_dir():
            raise NasplugError(
                f"task.path must hold a folder {name!r} of class folders, but {folder} does not exist"
            )
        return folder

    @property
    def _why_no_folder(self) -> str:
        if self.test is None:
            return "task.test=null"
        taken = (Path(str(self.path)) / self.test).is_dir()
        return f"{self.test}/ is in use already" if taken else f"there is no folder {self.test}/"

    @cached_property
    def _samples(self) -> dict[str, Samples]:
        """Every image file with its class, of "train", "val" and "test", sorted by class and name."""
        roots = {"train": self._folder(self.train), "val": self._folder(self.validation)}
        if (test := self._test_folder) is not None:
            roots["test"] = test
        tree = {place(root) for root in (*roots.values(), *(r.parent for r in roots.values()))}
        tree |= {place(root / kind) for root in roots.values() for kind in self.classes}
        found = {
            name: [
                (file, label)
                for label, kind in enumerate(self.classes)
                for file in image_files(root / kind, tree)
            ]
            for name, root in roots.items()
        }
        if test is None:
            images = len(found["train"])
            found["train"], found["test"] = set_aside(found["train"], self.test_share)
            if self.test_share:
                log.info(
                    "task=image_folder: %d of %d training images are set aside as test data (%s); "
                    "task.test_share=0 trains on all",
                    *(len(found["test"]), images, self._why_no_folder),
                )
        return found


def set_aside(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """What is left, and `share` of each class, rounded down: drawn at random, always the same."""
    rng = np.random.default_rng(TEST_SEED)
    labels = np.array([label for _, label in samples])
    taken = np.zeros(len(samples), bool)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        taken[places[: int(len(places) * share)]] = True
    left, aside = np.flatnonzero(~taken).tolist(), np.flatnonzero(taken).tolist()
    return [samples[i] for i in left], [samples[i] for i in aside]


LEAST = {
    "test_share": 0,
    "image_size": 1,
    "crop_scale": 0,
    "flip": 0,
    "brightness": 0,
    "saturation": 0,
    "label_smoothing": 0,
    "calibration_images": 1,
    "validation_batch": 1,
    "workers": 0,
}
MOST_ONE = ("crop_scale", "flip", "label_smoothing")


def _check(knobs: Mapping[str, Any]) -> None:
    for name, least in LEAST.items():
        if knobs[name] is None:
            continue
        require_at_least(f"{name} of task=image_folder", knobs[name], least)
        if name in MOST_ONE and knobs[name] > 1:
            raise NasplugError(
                f"{name} of task=image_folder must be at most 1, but got {knobs[name]}"
            )
    if knobs["test_share"] >= 1:
        raise NasplugError(
            f"test_share of task=image_folder must be below 1, but got {knobs['test_share']}"
        )
    for name in ("mean", "std"):
        if len(knobs[name]) != 3 or (name == "std" and min(knobs[name]) <= 0):
            raise NasplugError(
                f"{name} of task=image_folder must be three numbers, of red, green and blue, "
                f"std's above 0, but got {list(knobs[name])}"
            )
