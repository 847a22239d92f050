"""The store of trained super-networks, and weights from elsewhere."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from nasplug_training.checkpoint import Checkpoint
from nasplug_training.weight_cache import WeightCache
from nasplug_training.weights import load, read
from torch import nn

from nasplug import NasplugError
from nasplug.toolkit.system.download import download


def test_trained_once_for_a_description(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = []

    def train(checkpoint: Checkpoint) -> Any:
        trained.append(checkpoint)
        return {"w": torch.arange(6.0).view(2, 3).t()}, {"seconds": 1.5}

    cache = WeightCache(tmp_path / "new" / "folder")
    first = cache.obtain({"space": "a", "seed": 0}, train)
    again = cache.obtain({"seed": 0, "space": "a"}, train)
    assert len(trained) == 1 and again.path == first.path
    assert torch.equal(first.state["w"], torch.arange(6.0).view(2, 3).t())
    assert torch.equal(again.state["w"], first.state["w"])
    told = json.loads(first.path.with_suffix(".json").read_text())
    assert first.trained is None and again.trained == told.pop("trained")[:16].replace("T", " ")
    assert told.pop("sha256") == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert told == {"space": "a", "seed": 0, "seconds": 1.5}
    assert cache.obtain({"space": "a", "seed": 1}, train).path != first.path and len(trained) == 2


def test_two_at_once_train_once(tmp_path: Path) -> None:
    trained, kept = [], []

    def train(checkpoint: Checkpoint) -> Any:
        trained.append(checkpoint)
        time.sleep(0.3)
        return {"w": torch.zeros(1)}, {}

    threads = [
        threading.Thread(target=lambda: kept.append(WeightCache(tmp_path).obtain({"a": 1}, train)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1 and len({k.path for k in kept}) == 1 and len(kept) == 3


def test_an_interrupted_training_leaves_nothing_broken(tmp_path: Path) -> None:
    def stop(checkpoint: Checkpoint) -> Any:
        checkpoint.interval = 0
        checkpoint.save({"epoch": 3})
        raise KeyboardInterrupt

    def go_on(checkpoint: Checkpoint) -> Any:
        state = checkpoint.load()
        return {"w": torch.zeros(1)}, {"from": state and state["epoch"]}

    with pytest.raises(KeyboardInterrupt):
        WeightCache(tmp_path).obtain({"a": 1}, stop)
    assert not list(tmp_path.glob("*.safetensors"))
    kept = WeightCache(tmp_path).obtain({"a": 1}, go_on)
    assert json.loads(kept.path.with_suffix(".json").read_text())["from"] == 3
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".lock", ".safetensors"]


def flip(path: Path) -> None:
    """4,000 bytes of the middle, where the weights are."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(b ^ 0x10 for b in content[middle : middle + 4000])
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no weights at all"),
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
    ],
    ids=[
        "flipped",
        "cut",
        "empty",
        "garbage",
        "undescribed",
        "half described",
        "described as a list",
    ],
)
def test_damaged_weights_are_trained_anew(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = []

    def train(checkpoint: Checkpoint) -> Any:
        trained.append(checkpoint)
        return {"w": torch.arange(10000.0)}, {}

    path = WeightCache(tmp_path).obtain({"a": 1}, train).path
    whole = path.read_bytes()
    damage(path)
    for _ in range(2):
        kept = WeightCache(tmp_path).obtain({"a": 1}, train)
        assert torch.equal(kept.state["w"], torch.arange(10000.0))
    assert len(trained) == 2 and path.read_bytes() == whole
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"{path} is damaged" in line and "trained anew" in line and "\n" not in line


@pytest.mark.parametrize(
    "damage",
    [flip, lambda path: path.write_bytes(path.read_bytes()[:-1000]), lambda p: p.write_bytes(b"")],
    ids=["flipped", "cut", "empty"],
)
def test_a_damaged_checkpoint_is_not_gone_on_from(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = Checkpoint(tmp_path / "a.checkpoint", interval=0)
    checkpoint.save({"epoch": 3, "model": {"w": torch.arange(10000.0)}})
    state = checkpoint.load()
    assert state and state["epoch"] == 3 and torch.equal(state["model"]["w"], torch.arange(10000.0))
    damage(checkpoint.path)
    assert checkpoint.load() is None
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    cache = WeightCache(tmp_path / "cache")
    path = cache.obtain({"a": 1}, lambda checkpoint: ({}, {})).path
    path.unlink()
    path.with_suffix(".lock").unlink()
    path.with_suffix(".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NasplugError, match="must be writable"):
        cache.obtain({"a": 1}, lambda checkpoint: ({}, {}))
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NasplugError, match=r"must be writable.*evaluator.cache=DIR"):
        WeightCache(tmp_path / "file").obtain({}, lambda checkpoint: ({}, {}))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
def test_reads_what_torch_saved(wrap, tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    torch.save(wrap(state), tmp_path / "weights.pth")
    assert all(
        torch.equal(value, state[name]) for name, value in read(tmp_path / "weights.pth").items()
    )


def test_reads_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read(tmp_path / "w.safetensors")["a"], torch.ones(2))


class Danger:
    """Would run when unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist; give weights=PATH"),
        (b"no pickle at all", "is not: "),
        ({"epoch": 3}, "holds none"),
        ([1, 2], "holds none"),
        (Danger(), "is not: "),
    ],
)
def test_other_files_are_refused(content, words: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(NasplugError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_mismatch_names_the_first_keys(tmp_path: Path) -> None:
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(6)))
    state = {k: v for k, v in model.state_dict().items() if k[0] not in "45"}
    state |= {"0.weight": torch.zeros(3, 2), "extra": torch.zeros(1)}
    with pytest.raises(NasplugError) as caught:
        load(model, state, "the file")
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "4.weight", "4.bias", "5.weight" and 1 more' in text
    assert 'Unexpected key(s) in state_dict: "extra"' in text
    assert "size mismatch for 0.weight" in text and "[3, 2]" in text and "\n" not in text


def test_downloads_once(tmp_path: Path) -> None:
    source = tmp_path / "there.pth"
    source.write_bytes(b"weights")
    path = download(source.as_uri(), tmp_path / "cache")
    assert path.read_bytes() == b"weights" and path.name.endswith("-there.pth")
    source.unlink()
    assert download(source.as_uri(), tmp_path / "cache") == path


def test_a_damaged_download_is_fetched_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "there.pth"
    source.write_bytes(bytes(range(256)) * 50)
    path = download(source.as_uri(), tmp_path / "cache")
    flip(path)
    assert download(source.as_uri(), tmp_path / "cache") == path
    assert path.read_bytes() == source.read_bytes()
    (line,) = [r.getMessage() for r in caplog.records]
    assert f"{path} is damaged" in line and "fetched anew" in line
    path.with_name(f"{path.name}.sha256").unlink()  # as an earlier version left it
    source.unlink()
    assert download(source.as_uri(), tmp_path / "cache") == path and len(caplog.records) == 1
    flip(path)
    with pytest.raises(NasplugError, match="could not be fetched"):
        download(source.as_uri(), tmp_path / "cache")


def test_without_network_the_address_and_the_way_out_are_named(tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/net.pth"
    with pytest.raises(NasplugError, match=r"127\.0\.0\.1:9/net\.pth.*weights=PATH"):
        download(address, tmp_path)
    assert not list(tmp_path.iterdir())
