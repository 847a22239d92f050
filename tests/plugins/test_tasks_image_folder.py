"""Trees of image folders."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nasplug_tasks.image_folder import ImageFolder
from nasplug_tasks.images import Augmentation, CentreCrop
from PIL import Image
from torch import nn

from nasplug import NasplugError
from nasplug.testing import TaskContract

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def picture(
    path: Path, colour: tuple[int, int, int], size: tuple[int, int], mode: str = "RGB"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(-20, 20, (size[1], size[0], 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes, red and blue, of 12 training and 4 validation images of many sizes and modes."""
    for part, n in (("train", 12), ("val", 4)):
        for kind, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
            for k in range(n):
                suffix = ("jpg", "JPEG", "png", "bmp")[k % 4]
                folder = tmp_path / part / kind / ("deep" if k == 5 else "")
                picture(folder / f"{k:02}.{suffix}", colour, (20 + 7 * k, 50 - 3 * k))
    (tmp_path / "train" / "red" / "notes.txt").write_text("no image")
    return tmp_path


def task(tree: Path, **knobs: Any) -> ImageFolder:
    return ImageFolder(**{"path": str(tree), "image_size": 16, "workers": 0, **knobs})


class TestImageFolder(TaskContract):
    @pytest.fixture
    def task(self, tree: Path) -> ImageFolder:
        return task(tree)

    @pytest.fixture
    def model(self) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))


class Redness(nn.Module):
    """Blue is class 0, red class 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))[:, [2, 0]]


def test_reads_the_whole_tree(tree: Path) -> None:
    made = task(tree, validation_batch=3)
    assert made.classes == ["blue", "red"]
    assert made.network_dimensions == {"num_classes": 2, "in_channels": 3, "image_size": 16}
    images, labels = (torch.cat(p) for p in zip(*made.train_batches(5, 0), strict=True))
    assert images.shape == (20, 3, 16, 16) and images.dtype == torch.float32
    assert torch.equal(Redness()(images).argmax(1), labels)
    assert made.quality(Redness(), made.metrics)["top1"] == 100.0
    assert sum(len(y) for _, y in made.calibration_batches(5)) == 22  # and 2 of 24 are set aside
    assert made.test_quality(Redness(), ["top1"]) == {"top1": 100.0}
    assert sum(len(y) for _, y in task(tree, calibration_images=7).calibration_batches(5)) == 7


def test_a_share_of_each_class_is_set_aside(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        made = task(tree, test_share=0.25)
        parts = {name: set(samples) for name, samples in made._samples.items()}
    assert made.test_from_training and "6 of 24 training images are set aside" in caplog.text
    assert "there is no folder test/" in caplog.text
    assert not parts["train"] & parts["test"]
    assert parts["train"] | parts["test"] == set(task(tree, test_share=0)._samples["train"])
    assert sorted(label for _, label in parts["test"]) == [0, 0, 0, 1, 1, 1]
    assert parts == {name: set(s) for name, s in task(tree, test_share=0.25)._samples.items()}
    shown = {name for batch in made.train_batches(18, 0) for name in batch[1].tolist()}
    assert shown == {0, 1} and made.steps_per_epoch(6, 0) == 3


def test_without_a_share_or_with_too_small_a_one_nothing_is_tested(tree: Path) -> None:
    for share in (0.0, 0.05):  # 0.05 of 12 is no whole image
        made = task(tree, test_share=share)
        assert made.test_quality(Redness(), made.metrics) == {}
        assert len(made._samples["train"]) == 24


def test_a_folder_of_test_images_is_taken(tree: Path) -> None:
    before = task(tree).data_fingerprint()
    shutil.copytree(tree / "val", tree / "test")
    shutil.copytree(tree / "val", tree / "held")
    (tree / "held" / "blue" / "00.jpg").rename(tree / "held" / "red" / "99.jpg")
    made, other = task(tree), task(tree, test="held")
    assert not made.test_from_training and len(made._samples["train"]) == 24
    assert made.test_quality(Redness(), made.metrics) == made.quality(Redness(), made.metrics)
    assert other.test_quality(Redness(), ["top1"]) == {"top1": 87.5}  # one of 8 is misplaced
    assert len({before, made.data_fingerprint(), other.data_fingerprint()}) == 3


def test_a_folder_that_validates_tests_nothing(tree: Path) -> None:
    (tree / "val").rename(tree / "test")
    made = task(tree, validation="test")
    assert made.test_from_training and len(made._samples["test"]) == 2
    (tree / "link").symlink_to(tree / "test")
    assert len(task(tree, validation="test", test="link")._samples["test"]) == 2


def test_a_folder_of_test_images_without_the_classes_is_refused(tree: Path) -> None:
    (tree / "test").mkdir()
    shutil.copy(tree / "val" / "red" / "00.jpg", tree / "test" / "00.jpg")  # of unknown class
    with pytest.raises(NasplugError, match=r"test must have the class folders .* task\.test=null"):
        _ = task(tree).classes
    assert len(task(tree, test=None)._samples["test"]) == 2
    with pytest.raises(NasplugError, match="must hold a folder 'held'"):
        _ = task(tree, test="held").classes


def test_workers_change_nothing(tree: Path) -> None:
    for epoch in (0, 1):
        torch.manual_seed(epoch)
        alone = list(task(tree).train_batches(6, 3, epoch))
        state = torch.random.get_rng_state()
        beside = list(task(tree, workers=1).train_batches(6, 3, epoch))
        assert torch.equal(state, torch.random.get_rng_state())
        assert all(
            torch.equal(a, b)
            for x, y in zip(alone, beside, strict=True)
            for a, b in zip(x, y, strict=True)
        )


def test_centre_crop_by_hand() -> None:
    size = 28  # 28 / 0.875 = 32: nothing to resize but a choice of the middle
    pixels = np.random.default_rng(0).integers(0, 256, (32, 50, 3)).astype(np.uint8)
    out = CentreCrop(size, MEAN, STD)(Image.fromarray(pixels), np.random.default_rng(0))
    expected = (pixels[2:30, 11:39] / 255 - MEAN) / STD
    np.testing.assert_allclose(out.permute(1, 2, 0).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(500, 375), (33, 200), (1, 1), (16, 16)])
def test_centre_crop_fits_any_shape(shape: tuple[int, int]) -> None:
    for size in (16, 30, 33):
        out = CentreCrop(size, MEAN, STD)(
            Image.new("RGB", shape, (51, 102, 153)), np.random.default_rng(0)
        )
        colour = (torch.tensor([0.2, 0.4, 0.6]) - torch.tensor(MEAN)) / torch.tensor(STD)
        torch.testing.assert_close(
            out, colour.view(3, 1, 1).expand(3, size, size), rtol=0, atol=1e-5
        )


def augmentation(**knobs: float) -> Augmentation:
    still = {"crop_scale": 1.0, "flip": 0.0, "brightness": 0.0, "saturation": 0.0}
    return Augmentation(8, MEAN, STD, **{**still, **knobs})


@pytest.mark.parametrize("shape", [(500, 375), (90, 120), (400, 20)])
def test_random_crops_have_the_published_areas_and_shapes(shape: tuple[int, int]) -> None:
    rng, make = np.random.default_rng(0), augmentation(crop_scale=0.08)
    boxes = np.array([make._box(*shape, rng) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= shape).all()
    assert (width / height > 0.7).all() and (width / height < 1.4).all()
    area = width * height / np.prod(shape)
    if shape[0] < 2 * shape[1]:
        assert area.min() < 0.1 and 0.95 < area.max() <= 1 and 0.4 < area.mean() < 0.56


def test_flip_and_jitter() -> None:
    image = Image.fromarray(np.tile(np.arange(8, dtype=np.uint8)[None, :, None] * 30, (8, 1, 3)))
    make = augmentation(flip=0.5)
    outs = [make(image, np.random.default_rng(seed))[0, 0] for seed in range(60)]
    flipped = sum(bool(out[0] > out[-1]) for out in outs)
    assert 15 < flipped < 45
    red = Image.new("RGB", (8, 8), (100, 50, 50))
    for knob, amount in (("brightness", 0.2), ("saturation", 0.5)):
        make = augmentation(**{knob: amount})
        colours = torch.stack([make(red, np.random.default_rng(s))[:, 0, 0] for s in range(40)])
        levels = colours * torch.tensor(STD) + torch.tensor(MEAN)
        spread = levels.max(0).values - levels.min(0).values
        assert (spread[0] > 0.05) and spread.max() < 0.2


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_any_mode_is_read_as_rgb(mode: str, tree: Path) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    picture(tree / "val" / "red" / f"x.{suffix}", (255, 255, 255), (30, 30), mode)
    assert len(task(tree).quality(Redness(), task(tree).metrics)) == 2


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda tree: shutil.rmtree(tree / "val"), "must hold a folder 'val'.* does not exist"),
        (
            lambda tree: [shutil.rmtree(d) for d in (tree / "train").iterdir()],
            "must hold class folders",
        ),
        (
            lambda tree: (tree / "val" / "red").rename(tree / "val" / "rot"),
            "2 are in one only: red, rot",
        ),
        (lambda tree: (tree / "val" / "green").mkdir(), "1 are in one only: green"),
        (
            lambda tree: [p.unlink() for p in (tree / "val" / "red").iterdir()],
            "must hold images .*val/red holds none",
        ),
    ],
)
def test_a_wrong_tree_is_explained(break_it: Any, words: str, tree: Path) -> None:
    break_it(tree)
    with pytest.raises(NasplugError, match=words):
        next(task(tree).train_batches(4, 0))


def test_a_missing_path_is_explained() -> None:
    with pytest.raises(NasplugError, match=r"give it with task\.path=DIR"):
        _ = ImageFolder().network_dimensions
    with pytest.raises(NasplugError, match="/nowhere/train does not exist"):
        _ = ImageFolder("/nowhere").network_dimensions


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(workers: int, tree: Path) -> None:
    file = tree / "val" / "red" / "00.jpg"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(
        NasplugError, match=r"every image must be readable, but .*00\.jpg"
    ) as caught:
        task(tree, workers=workers).quality(Redness(), task(tree, workers=workers).metrics)
    assert "\n" not in str(caught.value)


def test_a_loop_of_links_gives_every_image_once(tree: Path) -> None:
    plain = [len(list(task(tree).train_batches(1, 0))), len(task(tree)._samples["val"])]
    (tree / "train" / "red" / "again").symlink_to(tree / "train" / "red")
    (tree / "train" / "red" / "deep" / "up").symlink_to(tree / "train")
    (tree / "val" / "blue" / "all").symlink_to(tree)
    assert [len(list(task(tree).train_batches(1, 0))), len(task(tree)._samples["val"])] == plain


def test_links_to_files_and_folders_elsewhere_are_followed(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tree / "train" / "red").rename(elsewhere)
    (tree / "train" / "red").symlink_to(elsewhere)
    (tree / "val" / "red" / "one.png").symlink_to(elsewhere / "02.png")
    made = task(tree, test_share=0)
    assert len(made._samples["train"]) == 24 and len(task(tree)._samples["val"]) == 9


def link(source: Path, target: Path) -> None:
    shutil.rmtree(source)
    source.symlink_to(target)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda tree: [shutil.rmtree(tree / p / "blue") for p in ("train", "val")],
            "two at least, but .*train holds red alone",
        ),
        (
            lambda tree: link(tree / "train" / "red", tree / "train" / "blue"),
            "blue and red of .*train are one folder",
        ),
        (
            lambda tree: os.mkfifo(tree / "train" / "red" / "pipe.png"),
            r"pipe\.png is a pipe, socket or device; remove it",
        ),
        (
            lambda tree: (tree / "train" / "red" / "lost.png").symlink_to(tree / "nowhere.png"),
            r"lost\.png leads nowhere; remove it",
        ),
        (lambda tree: (tree / "val" / "red").chmod(0), None),
    ],
    ids=["one class", "one folder twice", "pipe", "lost link", "unreadable"],
)
def test_a_misleading_tree_is_refused(break_it: Any, words: str | None, tree: Path) -> None:
    break_it(tree)
    if words is None:
        words = "val/red"
        if os.access(tree / "val" / "red", os.R_OK):
            pytest.skip("this user may read everything")
    with pytest.raises(NasplugError, match=words) as caught:
        next(task(tree).train_batches(4, 0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"image_size": 0}, "image_size of task=image_folder must be at least 1, but got 0"),
        ({"image_size": -1}, "image_size .* at least 1, but got -1"),
        ({"test_share": -0.1}, "test_share .* at least 0, but got -0.1"),
        ({"test_share": 1.0}, "test_share .* below 1, but got 1.0"),
        ({"workers": -1}, "workers .* at least 0, but got -1"),
        ({"calibration_images": 0}, "calibration_images .* at least 1"),
        ({"validation_batch": 0}, "validation_batch .* at least 1"),
        ({"crop_scale": 1.5}, "crop_scale .* at most 1, but got 1.5"),
        ({"std": (0.1, 0.0, 0.1)}, "std .* above 0"),
        ({"mean": (0.1,)}, "mean .* three numbers"),
    ],
)
def test_impossible_settings_are_refused(knobs: dict[str, Any], words: str, tree: Path) -> None:
    with pytest.raises(NasplugError, match=words):
        task(tree, **knobs)


def test_the_fingerprint_tells_data_apart(tree: Path, tmp_path: Path) -> None:
    before = task(tree).data_fingerprint()
    copied = shutil.copytree(tree, tmp_path / "copied")
    assert task(tree).data_fingerprint() == before == task(copied).data_fingerprint()
    swapped = tree / "train" / "swap"
    (tree / "train" / "red").rename(swapped)
    (tree / "train" / "blue").rename(tree / "train" / "red")
    swapped.rename(tree / "train" / "blue")
    assert task(tree).data_fingerprint() != before
    file = copied / "train" / "red" / "02.png"
    content = bytearray(file.read_bytes())
    status = file.stat()
    content[-20] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert task(copied).data_fingerprint() != before


def test_the_fingerprint_of_many_files_is_their_times(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasplug_tasks import image_tree

    monkeypatch.setattr(image_tree, "FEW_FILES", 3)
    before = task(tree).data_fingerprint()
    file = tree / "train" / "red" / "02.png"
    assert task(tree).data_fingerprint() == before
    os.utime(file, ns=(1, 1))
    assert task(tree).data_fingerprint() != before


def test_a_real_unpacked_set(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "cifar10" / "cifar10_subset.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".jpg") and n[-6:-4] in ("07", "11")]
        archive.extractall(tmp_path, names)
    made = task(tmp_path, validation="test", image_size=32)
    assert made.network_dimensions["num_classes"] == 10 and made.classes[0] == "airplane"
    assert next(made.train_batches(8, 0))[0].shape == (8, 3, 32, 32)
    assert (
        made.quality(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)), made.metrics)["top1"]
        <= 100
    )
