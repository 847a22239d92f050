"""The evaluator that trains every network by itself."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from nasplug_training.standalone_trainer import StandaloneTrainer
from nasplug_training.training import TrainingEvaluator
from torch import nn
from torch.nn import functional

import nasplug
from nasplug import Failure, Measurement, NasplugError, seeded
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToySpace, ToyTask

NAMES = ("top1", "loss")


def evaluator(cache: Path | None, **knobs: Any) -> TrainingEvaluator:
    given: dict[str, Any] = {"space": ToySpace(), "task": ToyTask(), "epochs": 4, "batch_size": 32}
    given |= {"cache": str(cache), "keep": cache is not None, **knobs}
    return TrainingEvaluator(**given)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


class TestKept(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, cache: Path) -> TrainingEvaluator:
        return evaluator(cache)

    @pytest.fixture
    def space(self) -> ToySpace:
        return ToySpace()


class TestTrainedAnew(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> TrainingEvaluator:
        return evaluator(None)

    @pytest.fixture
    def space(self) -> ToySpace:
        return ToySpace()


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_nth_network_is_trained_as_the_first_is() -> None:
    space = ToySpace()
    archs = space.valid(space.enumerate()[::6])
    n = len(archs) - 1
    one_after_another = evaluator(None)
    outcomes = one_after_another.evaluate(full_trials(archs), NAMES)
    alone = evaluator(None).evaluate(full_trials([archs[n]]), NAMES)[0]
    assert n >= 5 and outcomes[n].values == alone.values
    assert same(
        state(one_after_another.network(archs[n])), state(evaluator(None).network(archs[n]))
    )


def test_every_network_learns(cache: Path) -> None:
    """From chance, on blobs that are easy to tell apart."""
    space = ToySpace(layers=1, widths=(4, 8, 16))
    made = evaluator(cache, space=space, epochs=12)
    for arch in space.valid(space.enumerate()):
        with seeded(0):
            untrained = made.task.quality(space.build(arch).eval(), made.task.metrics)["loss"]
        (outcome,) = made.evaluate(full_trials([arch]), NAMES)
        assert outcome.values["loss"] < 0.7 * untrained and outcome.values["top1"] > 75


def test_training_is_plain_descent() -> None:
    """Compared with a loop written out, on a network without batch norms."""

    class Linear(ToySpace):
        def build(self, arch: Any) -> nn.Module:
            return nn.Linear(self.columns, self.classes)

    task, arch = ToyTask(samples=64), (0, 0, 0, 0)
    made = evaluator(
        None,
        space=Linear(),
        task=task,
        epochs=1,
        warmup=0.0,
        momentum=0.0,
        weight_decay=0.0,
        lr=0.3,
    )
    network = made.network(arch)
    start = evaluator(None, space=Linear(), task=task, lr=0.0, epochs=1)
    expected = start.network(arch).train()
    rates = (0.3 * (2 + 2**0.5) / 4, 0.3 * (2 - 2**0.5) / 4)
    for batch, rate in zip(task.train_batches(32, 0, 0), rates, strict=True):
        expected.zero_grad()
        functional.cross_entropy(expected(batch[0]), batch[1]).backward()
        with torch.no_grad():
            for parameter in expected.parameters():
                parameter -= rate * parameter.grad
    torch.testing.assert_close(network.weight, expected.weight)
    assert network.weight.abs().sum() != start.network(arch).weight.abs().sum()


def test_the_network_is_the_one_measured(cache: Path) -> None:
    made = evaluator(cache)
    arch = made.space.valid([(1, 2, 0, 0)])[0]
    (outcome,) = made.evaluate(full_trials([arch]), NAMES)
    network = made.network(arch)
    assert not network.training and made.task.quality(network, made.task.metrics) == outcome.values
    made.space.build(arch).load_state_dict(network.state_dict())


def test_a_network_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluator(tmp_path)
    arch = first.space.largest
    (outcome,) = first.evaluate(full_trials([arch]), NAMES)
    monkeypatch.setattr(StandaloneTrainer, "train", lambda *_: pytest.fail("trained again"))
    again = pickle.loads(pickle.dumps(evaluator(tmp_path, device="cpu")))
    assert again.evaluate(full_trials([arch]), NAMES)[0].values == outcome.values
    again.network(arch)
    for change in (
        {"seed": 1},
        {"lr": 0.06},
        {"share": 0.5},
        {"space": ToySpace(widths=(2, 4, 6))},
    ):
        with pytest.raises(pytest.fail.Exception):
            evaluator(tmp_path, **change).network(arch)


def test_a_network_whose_author_changed_it_is_another(tmp_path: Path) -> None:
    class Own(ToySpace):
        activation: Any = nn.ReLU

        def build(self, arch: Any) -> nn.Module:
            parts = super().build(arch)
            return nn.Sequential(*(self.activation() if type(m) is nn.ReLU else m for m in parts))

    before = evaluator(tmp_path, space=Own()).network((1, 2, 2, 0))
    Own.activation = nn.Tanh
    after = evaluator(tmp_path, space=Own()).network((1, 2, 2, 0))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert not torch.equal(before[0].weight, after[0].weight)


def test_what_is_kept_says_what_it_is(tmp_path: Path) -> None:
    evaluator(tmp_path, seed=4).network((0, 1, 0, 0))
    (file,) = tmp_path.glob("*.json")
    told = json.loads(file.read_text())
    assert told["architecture"] == [0, 1, 0, 0] and told["seed"] == 4 and told["epochs"] == 4
    assert told["space"]["widths"] == [2, 4, 8] and told["torch"] == torch.__version__


@pytest.mark.parametrize("knobs", [{}, {"accumulate": 2, "optimizer": "adam", "beta2": 0.9}])
def test_a_training_that_was_stopped_goes_on(
    knobs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasplug_training.checkpoint import Checkpoint

    arch, whole = (2, 1, 2, 0), evaluator(None, **knobs)
    save, saved = Checkpoint.save, []

    def stop(self: Checkpoint, state: dict[str, Any]) -> None:
        self.interval = 0
        save(self, state)
        saved.append(state["epoch"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluator(tmp_path, **knobs).network(arch)
    gone_on = evaluator(tmp_path, **knobs).network(arch)
    assert same(state(gone_on), state(whole.network(arch)))
    assert saved == [1, 2, 3, 4]


def test_a_share_of_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    loss = ToyTask.loss
    monkeypatch.setattr(
        ToyTask, "loss", lambda self, m, b: (seen.append(b[-1]), loss(self, m, b))[1]
    )
    evaluator(None, share=0.5, epochs=2).network((0, 0, 0, 0))
    assert len(seen) == 2 * 2  # of 3 batches, 2
    assert not torch.equal(seen[0], seen[2]), "another part of the data every epoch"


class Images(ToyTask):
    """The blobs as images of 2 x 3 points, each drawn large."""

    def _data(self, seed: int) -> Any:
        x, y = super()._data(seed)
        return functional.interpolate(x.view(-1, 1, 2, 3), (6, 6)), y


class Convolutional(ToySpace):
    """What it saw last is on record."""

    seen: list[tuple[int, ...]] = []

    def build(self, arch: Any) -> nn.Module:
        network = nn.Sequential(
            nn.Conv2d(1, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, self.classes)
        )
        network[0].register_forward_pre_hook(lambda m, x: self.seen.append(tuple(x[0].shape[2:])))
        return network

    def example_inputs(self, batch_size: int) -> Any:
        return (torch.zeros(batch_size, 1, 6, 6),)


def test_small_images_are_trained_on_and_measured() -> None:
    made = evaluator(None, space=Convolutional(), task=Images(), image_size=3)
    Convolutional.seen.clear()
    (outcome,) = made.evaluate(full_trials([(0, 0, 0, 0)]), NAMES)
    assert isinstance(outcome, Measurement) and set(Convolutional.seen) == {(3, 3)}
    Convolutional.seen.clear()
    made.network((0, 0, 0, 0))(*made.space.example_inputs(2))
    assert Convolutional.seen[-1] == (6, 6), "the network takes images of any size"
    with pytest.raises(NasplugError, match=r"image_size .* needs images, .* gives \(32, 6\)"):
        evaluator(None, image_size=3).evaluate(full_trials([(0, 0, 0, 0)]), NAMES)


def test_the_hopeless_are_stopped(tmp_path: Path) -> None:
    def trained(folder: str, **knobs: Any) -> int:
        made = evaluator(tmp_path / folder, **knobs)
        assert isinstance(made.evaluate(full_trials([(0, 0, 0, 0)]), NAMES)[0], Measurement)
        (file,) = (tmp_path / folder).glob("*.json")
        return json.loads(file.read_text())["epochs"]

    class ByLoss(ToyTask):
        metrics = {"loss": ToyTask.metrics["loss"], "top1": ToyTask.metrics["top1"]}

        def quality(self, model: nn.Module, metrics: Any) -> dict[str, float]:
            return dict(reversed(super().quality(model, metrics).items()))

    assert trained("a", stop_after=2, stop_at=101.0) == 2
    assert trained("b", stop_after=2, stop_at=0.0) == 4
    assert trained("c", stop_after=2, stop_at=0.0, task=ByLoss()) == 2
    assert trained("d", stop_after=2, stop_at=101.0, task=ByLoss()) == 4
    assert trained("e", stop_after=0, stop_at=101.0) == 4


def test_one_that_diverges_or_raises_fails_alone(tmp_path: Path) -> None:
    class Broken(ToySpace):
        def build(self, arch: Any) -> nn.Module:
            if arch == self.smallest:
                raise RuntimeError("no such\n  network")
            network = super().build(arch)
            if arch == self.largest:
                nn.init.constant_(network[0].weight, float("inf"))
            return network

    made = evaluator(tmp_path, space=Broken())
    bad, worse, good = made.evaluate(
        full_trials([made.space.smallest, made.space.largest, (0, 1, 0, 0)]), NAMES
    )
    assert isinstance(bad, Failure) and bad.error == "RuntimeError: no such network"
    assert isinstance(worse, Failure) and worse.error == "Diverged: the loss of epoch 1 is nan"
    assert isinstance(good, Measurement) and set(good.values) == set(NAMES)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_mistakes_are_named() -> None:
    with pytest.raises(NasplugError, match="epochs of evaluator=training must be at least 1"):
        evaluator(None, epochs=0)
    with pytest.raises(NasplugError, match=r"share .* at most 1, but got 1\.5"):
        evaluator(None, share=1.5)
    with pytest.raises(NasplugError, match=r"image_size .* at least 1"):
        evaluator(None, image_size=0)
    with pytest.raises(NasplugError, match="did you mean adam"):
        evaluator(None, optimizer="adamv")


def test_made_from_its_configuration() -> None:
    made = nasplug.make("evaluator", "training", space=ToySpace(), task=ToyTask(), epochs=3)
    assert isinstance(made, TrainingEvaluator) and made.epochs == 3 and made.keep
