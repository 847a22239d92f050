"""The evaluator of sub-networks with inherited weights."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from nasplug_training.identity import of_supernet
from nasplug_training.schedule import Schedule
from nasplug_training.supernet import SuperNetEvaluator
from nasplug_training.trainer import Trainer
from PIL import Image
from torch import nn
from torch.nn import functional

import nasplug
from nasplug import Failure, NasplugError
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToySpace, ToyTask
from nasplug.toolkit.networks.devices import threads

NAMES = ("top1", "loss")


def evaluator(cache: Path, **knobs: Any) -> SuperNetEvaluator:
    training = knobs.pop("training", Schedule(epochs=12, lr=0.05, batch_size=32, report_every=0))
    space = knobs.pop("space", ToySpace())
    return SuperNetEvaluator(space, ToyTask(), training, cache=str(cache), **knobs)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("supernets")


class TestEvaluator(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, cache: Path) -> SuperNetEvaluator:
        return evaluator(cache)

    @pytest.fixture
    def space(self) -> ToySpace:
        return ToySpace()


def test_never_trained_twice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluator(cache)
    first.prepare()
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained again"))
    again = evaluator(
        cache, device="cpu", threads=2, calibration_batch=7
    )  # of no account to training
    again.prepare()
    archs = [first.space.smallest, first.space.largest]
    same = evaluator(cache)
    assert [o.values for o in same.evaluate(full_trials(archs), NAMES)] == [
        o.values for o in first.evaluate(full_trials(archs), NAMES)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"training": Schedule(epochs=12, lr=0.06, batch_size=32, report_every=0)},
        {"space": ToySpace(widths=(2, 4, 6))},
    ],
    ids=["seed", "training", "space"],
)
def test_what_determines_the_weights_determines_the_file(
    change: dict[str, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator(cache).prepare()
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained, as it must be"))
    with pytest.raises(pytest.fail.Exception, match="as it must be"):
        evaluator(cache, **change).prepare()


def trains(made: SuperNetEvaluator, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether `made` finds nothing that is kept."""
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", lambda *_: pytest.fail("trained"))
        try:
            made.prepare()
        except pytest.fail.Exception:
            return True
    return False


def test_a_class_that_changed_is_trained_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issue's case: ReLU becomes Tanh in the space's class, and nothing else."""
    evaluator(cache).prepare()
    assert not trains(evaluator(cache), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(functional, "relu", torch.tanh)
        assert trains(evaluator(cache), monkeypatch)
    assert not trains(evaluator(cache), monkeypatch)


NNI_MODEL = """
from torch import nn
from nni.nas.nn.pytorch import LayerChoice, ModelSpace


class Net(ModelSpace, label_prefix="net"):
    def __init__(self, in_channels=1, num_classes=3):
        super().__init__()
        self.first = LayerChoice([nn.Linear(6, 4), nn.Sequential(nn.Linear(6, 4), nn.{activation}())])
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(self.first(x))
"""


def test_an_nni_model_whose_class_changed_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"nni_model_{os.getpid()}"

    def made(activation: str) -> SuperNetEvaluator:
        (tmp_path / f"{name}.py").write_text(NNI_MODEL.replace("{activation}", activation))
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        space = nasplug.make("space", "nni", model=f"{name}.Net", num_classes=3, input_shape=[6])
        return evaluator(
            tmp_path / "cache", space=space, training=Schedule(epochs=1, report_every=0)
        )

    made("ReLU").prepare()
    assert not trains(made("ReLU"), monkeypatch)
    assert trains(made("Tanh"), monkeypatch)


def test_folders_that_were_swapped_are_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "val"):
        for k, kind in enumerate(("cat", "dog")):
            folder = tmp_path / "data" / part / kind
            folder.mkdir(parents=True)
            for n in range(4):
                Image.new("L", (3, 2), 60 * n + 10 * k).save(folder / f"{n}.png")

    def made() -> SuperNetEvaluator:
        task = nasplug.make(
            "task", "image_folder", path=str(tmp_path / "data"), image_size=2, workers=0
        )
        space = Pixels()
        training = Schedule(epochs=1, batch_size=4, report_every=0)
        return SuperNetEvaluator(space, task, training, cache=str(tmp_path / "cache"))

    made().prepare()
    assert not trains(made(), monkeypatch)
    for part in (tmp_path / "data" / "train", tmp_path / "data" / "val"):
        (part / "cat").rename(part / "swap")
        (part / "dog").rename(part / "cat")
        (part / "swap").rename(part / "dog")
    assert trains(made(), monkeypatch)


class Pixels(ToySpace):
    """Takes images of 2 x 2 pixels."""

    def __init__(self) -> None:
        super().__init__(columns=12, classes=2)

    def supernet(self) -> Any:
        made = super().supernet()
        made.register_forward_pre_hook(lambda module, inputs: (inputs[0].flatten(1),))
        extract = made.extract

        def flat(arch: Any) -> nn.Module:
            return nn.Sequential(nn.Flatten(), *extract(arch).children())

        made.extract = flat
        return made

    def example_inputs(self, batch_size: int) -> Any:
        return (torch.zeros(batch_size, 3, 2, 2),)


class Drops(ToySpace):
    """Drops inputs out in training, by code that no module shows."""

    share = 0.1

    def supernet(self) -> Any:
        made = super().supernet()
        made.register_forward_pre_hook(
            lambda module, x: (functional.dropout(x[0], self.share, module.training),)
        )
        return made


class OtherData(ToyTask):
    """Described as the toy is."""

    def _data(self, seed: int) -> Any:
        x, y = super()._data(seed)
        return x + 1e-3, y


class OtherLoss(ToyTask):
    def criterion(self, outputs: Any, batch: Any) -> torch.Tensor:
        return functional.cross_entropy(outputs, batch[-1], label_smoothing=0.1)


class OtherDistillation(ToyTask):
    def distillation(self, outputs: Any, teacher: Any) -> torch.Tensor:
        return (outputs - teacher).square().mean() + 1


for kind in (OtherData, OtherLoss, OtherDistillation):  # one class, before and after an edit
    kind.__module__, kind.__qualname__ = ToyTask.__module__, ToyTask.__qualname__


def test_what_only_training_shows_is_seen(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = evaluator(cache, space=Drops())
    made.prepare()
    assert not trains(evaluator(cache, space=Drops()), monkeypatch)
    monkeypatch.setattr(Drops, "share", 0.2)
    assert trains(evaluator(cache, space=Drops()), monkeypatch)


@pytest.mark.parametrize("task", [OtherData, OtherLoss, OtherDistillation])
def test_a_task_whose_class_changed_is_trained_anew(
    task: type[ToyTask], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = evaluator(cache)
    made.prepare()
    other = evaluator(cache)
    other.task = task()
    assert nasplug.describe(other.task) == nasplug.describe(made.task)
    assert trains(other, monkeypatch)


def test_looking_at_a_super_network_leaves_it_as_it_was() -> None:
    space, task = Drops(), ToyTask()
    network = space.supernet()
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    sizes, random = network.sizes, torch.random.get_rng_state()
    first = of_supernet(network, space, task, True)
    assert all(torch.equal(value, fresh[name]) for name, value in network.state_dict().items())
    assert network.training and network.sizes == sizes and len(fresh) > 10
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(p.grad is None for p in network.parameters())
    assert of_supernet(network, space, task, True) == first


def test_the_number_of_threads_is_in_the_key(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    evaluator(cache).prepare()
    assert not trains(evaluator(cache, training_threads=before), monkeypatch)
    assert trains(evaluator(cache, training_threads=before + 7), monkeypatch)


def test_weights_of_another_number_of_threads_will_do_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run is opened under OMP_NUM_THREADS=1: it is given the weights that it measured."""
    first = evaluator(tmp_path, training_threads=2)
    expected = first.network(first.space.largest)
    caplog.set_level("INFO")
    with threads(1):
        monkeypatch.setattr("os.cpu_count", lambda: 4)
        opened = evaluator(tmp_path)
        assert not trains(opened, monkeypatch)
        assert "with 2 CPU threads" in caplog.text
        found = evaluator(tmp_path).network(first.space.largest)
    state = found.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in expected.state_dict().items())


def test_a_worker_with_fewer_threads_takes_what_its_parent_trained(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = evaluator(cache)
    made.prepare()
    sent = pickle.dumps(made)
    monkeypatch.setattr(ToyTask, "data_fingerprint", lambda self: pytest.fail("looked again"))
    with threads(torch.get_num_threads() + 1):
        assert not trains(pickle.loads(sent), monkeypatch)


def test_what_is_taken_from_the_cache_is_announced(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator(cache).prepare()
    caplog.clear()
    with caplog.at_level("INFO", logger="nasplug_training"):
        evaluator(cache).prepare()
    (line,) = [r.getMessage() for r in caplog.records]
    assert re.fullmatch(
        rf"the super-network was trained on \d{{4}}-\d\d-\d\d \d\d:\d\d, "
        rf"with {torch.get_num_threads()} CPU threads?; kept in {re.escape(str(cache))}/\w{{64}}.safetensors",
        line,
    )


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    evaluator(tmp_path, seed=4).prepare()
    (file,) = tmp_path.glob("*.json")
    told = json.loads(file.read_text())
    assert told["seed"] == 4 and told["training"]["epochs"] == 12 and told["device"] == "cpu"
    assert told["space"]["widths"] == [2, 4, 8] and told["torch"] == torch.__version__
    assert set(told["reached"]) == {"smallest", "middle", "largest"}


def test_the_default_folder_is_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = SuperNetEvaluator(ToySpace(), ToyTask(), Schedule(epochs=1, report_every=0))
    made.prepare()
    assert len(list((tmp_path / "nasplug" / "supernets").glob("*.safetensors"))) == 1


def test_the_network_is_the_one_measured(cache: Path) -> None:
    made = evaluator(cache)
    arch = made.space.valid([(1, 2, 0, 0)])[0]
    network = made.network(arch)
    assert not network.training and {p.device.type for p in network.parameters()} == {"cpu"}
    assert (
        made.task.quality(network, made.task.metrics)
        == made.evaluate(full_trials([arch]), NAMES)[0].values
    )
    made.space.build(arch).load_state_dict(network.state_dict())


def test_statistics_are_those_of_the_calibration_data(cache: Path) -> None:
    made = evaluator(cache)
    network = made.network(made.space.largest)
    first, norm = network[0], network[1]
    outputs = torch.cat([first(x) for x, _ in made.task.calibration_batches(1000)])
    torch.testing.assert_close(norm.running_mean, outputs.mean(0), rtol=1e-4, atol=1e-5)


def test_pickles_without_its_weights(cache: Path) -> None:
    made = evaluator(cache, space=ToySpace(widths=(2, 4, 64)))
    made.evaluate(full_trials([made.space.largest]), NAMES)
    assert sum(p.numel() for p in made.network(made.space.largest).parameters()) > 8000
    assert len(pickle.dumps(made)) < 2000


class Broken(ToySpace):
    """One of its networks cannot be taken out."""

    def supernet(self) -> Any:
        made = super().supernet()
        extract = made.extract

        def fail(arch: Any) -> nn.Module:
            if arch == self.smallest:
                raise RuntimeError("no such\n  network")
            return extract(arch)

        made.extract = fail
        return made


def test_an_architecture_that_raises_fails_alone(cache: Path, tmp_path: Path) -> None:
    trained = evaluator(cache)
    trained.prepare()
    told = ((path, json.loads(path.read_text())) for path in cache.glob("*.json"))
    weights = next(
        path.with_suffix(".safetensors")
        for path, about in told
        if about["space"]["_target_"].endswith("ToySpace") and about["space"]["widths"] == [2, 4, 8]
    )
    made = evaluator(tmp_path, space=Broken(), weights=str(weights))
    bad, good = made.evaluate(full_trials([made.space.smallest, made.space.largest]), NAMES)
    assert isinstance(bad, Failure) and bad.error == "RuntimeError: no such network"
    assert set(good.values) == set(NAMES)


def test_threads_are_given_back(cache: Path) -> None:
    before = torch.get_num_threads()
    made = evaluator(cache, threads=before + 1)
    made.evaluate(full_trials([made.space.largest]), NAMES)
    assert torch.get_num_threads() == before


def test_weights_of_ones_own(tmp_path: Path) -> None:
    supernet = ToySpace().supernet()
    torch.save({"state_dict": supernet.state_dict()}, tmp_path / "w.pth")
    made = evaluator(tmp_path / "unused", weights=str(tmp_path / "w.pth"))
    network = made.network(made.space.largest)
    assert torch.equal(network[0].weight, supernet.linears[0].weight)
    assert not (tmp_path / "unused").exists()
    with pytest.raises(NasplugError, match="size mismatch"):
        evaluator(
            tmp_path, space=ToySpace(widths=(2, 4)), weights=str(tmp_path / "w.pth")
        ).prepare()
    with pytest.raises(NasplugError, match="does not exist"):
        evaluator(tmp_path, weights=str(tmp_path / "other.pth")).prepare()


class Published(ToySpace):
    """With weights at an address."""

    def __init__(self, address: str | None) -> None:
        super().__init__()
        self.address = address

    def supernet(self) -> Any:
        made = super().supernet()
        made.published = self.address
        return made


def test_published_weights_are_fetched_on_request(tmp_path: Path) -> None:
    supernet = ToySpace().supernet()
    torch.save(supernet.state_dict(), tmp_path / "w.pth")
    space = Published((tmp_path / "w.pth").as_uri())
    made = evaluator(tmp_path / "cache", space=space, weights="published")
    assert torch.equal(made.network(space.largest)[0].weight, supernet.linears[0].weight)
    with pytest.raises(NasplugError, match=r"no weights are published for ToySuper with .*classes"):
        evaluator(tmp_path, space=Published(None), weights="published").prepare()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(NasplugError, match="threads and calibration_batch"):
        evaluator(tmp_path, threads=0)
    with pytest.raises(NasplugError, match="device must be auto, cpu, cuda"):
        evaluator(tmp_path, device="gpu").prepare()


@pytest.mark.parametrize("training", ["sandwich", "single_path", "progressive"])
def test_made_from_its_configuration(training: str) -> None:
    schedule = nasplug.make("training", training)
    made = nasplug.make(
        "evaluator", "supernet", space=ToySpace(), task=ToyTask(), training=schedule
    )
    assert isinstance(made, SuperNetEvaluator) and made.training.epochs == schedule.epochs
