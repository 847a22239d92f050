"""Finalizers: their order, what they are given, and that what is exported is what they made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from nasplug_training.schedule import Schedule
from nasplug_training.supernet import SuperNetEvaluator
from torch import nn

import nasplug
from nasplug import Finalizer, NasplugError, Trial, search
from nasplug.contracts.inputs import Inputs, call
from nasplug.testing import ToySpace, ToyTask

HERE = __name__.split(".")[0]
"""The package that files of these runs name parts of."""
ARCH = (1, 2, 1, 0)


class Noted(Finalizer):
    """Notes its name, and what the network's batch norms hold when it comes."""

    calls: ClassVar[list[tuple[str, list[float], int]]] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def finalize(self, network: nn.Module, batches: Sequence[Inputs]) -> nn.Module:
        """The network as it is."""
        means = [float(m.running_mean[0]) for m in network.modules() if hasattr(m, "running_mean")]
        self.calls.append((self.name, means, len(batches)))
        return network


class Coarse(Finalizer):
    """Rounds weights, and gives another network than the one it was handed."""

    def __init__(self, step: float = 0.25) -> None:
        self.step = step

    def finalize(self, network: nn.Module, batches: Sequence[Inputs]) -> nn.Module:
        """A rounded copy, in training mode, as a careless author may leave it."""
        import copy

        rounded = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in rounded.parameters():
                parameter.copy_((parameter / self.step).round() * self.step)
            call(rounded, batches[0])
        return rounded.train()


class Finished(ToySpace):
    """A space whose networks need a step of their own."""

    finalizers = (Noted("space"),)


def evaluator(cache: Path, space: Any = None, **knobs: Any) -> SuperNetEvaluator:
    training = Schedule(epochs=1, batch_size=32, report_every=0)
    return SuperNetEvaluator(space or ToySpace(), ToyTask(), training, cache=str(cache), **knobs)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("supernets")


@pytest.fixture(autouse=True)
def none_yet() -> None:
    Noted.calls.clear()


def test_batch_norms_come_first_then_the_space_s_then_the_evaluator_s(cache: Path) -> None:
    made = evaluator(cache, Finished(), finalizers=[Noted("one"), Noted("two")], device="cpu")
    made.prepare()
    Noted.calls.clear()
    network = made.network(ARCH)
    assert [name for name, _, _ in Noted.calls] == ["space", "one", "two"]
    final = [float(m.running_mean[0]) for m in network.modules() if hasattr(m, "running_mean")]
    fresh = made._supernet().extract(ARCH)
    inherited = [float(m.running_mean[0]) for m in fresh.modules() if hasattr(m, "running_mean")]
    assert all(means == final != inherited for _, means, _ in Noted.calls)
    assert {count for _, _, count in Noted.calls} == {1}  # 96 samples, 128 a batch


def test_each_is_called_once_a_network_and_none_in_training(cache: Path) -> None:
    made = evaluator(cache / "own", finalizers=[Noted("one")])
    made.prepare()
    assert not Noted.calls
    made.evaluate([Trial(ARCH), Trial(made.space.smallest)], ["top1"])
    assert len(Noted.calls) == 2


def test_what_is_measured_is_the_finalized_network_and_always_the_same(cache: Path) -> None:
    plain, made = evaluator(cache), evaluator(cache, finalizers=[Coarse()])
    names = ["loss"]
    first, again = (made.evaluate([Trial(ARCH)], names)[0].values for _ in range(2))
    assert (
        first
        == again
        == evaluator(cache, finalizers=[Coarse()]).evaluate([Trial(ARCH)], names)[0].values
    )
    network = made.network(ARCH)
    assert not network.training
    assert made.task.quality(network, names)["loss"] == pytest.approx(first["loss"])
    assert plain.evaluate([Trial(ARCH)], names)[0].values != first


def run(cache: Path, folder: Path, *finalizers: Finalizer) -> nasplug.Run:
    space = ToySpace()
    parts = [
        evaluator(cache, space, finalizers=finalizers),
        nasplug.make("evaluator", "costs", space=space),
    ]
    strategy = nasplug.make("strategy", "random")
    return search(space, parts, strategy, ["top1", "macs"], 3, task=ToyTask(), run=folder)


def grid(network: nn.Module, step: float) -> bool:
    return all(torch.equal((p / step).round() * step, p) for p in network.parameters())


def test_an_exported_network_has_the_finalized_weights(cache: Path, tmp_path: Path) -> None:
    made = run(cache, tmp_path / "a", Coarse(0.5))
    best = made.best("top1")
    network = nasplug.load(made.export(best, tmp_path / "e"))
    assert grid(network, 0.5)
    assert ToyTask().quality(network, ["top1"])["top1"] == best.outcome.values["top1"]  # type: ignore[union-attr]
    assert not grid(nasplug.load(run(cache, tmp_path / "b").export(best.arch, tmp_path / "f")), 0.5)


def test_they_are_in_the_run_s_config_and_back_when_it_is_opened(
    cache: Path, tmp_path: Path
) -> None:
    made = run(cache, tmp_path / "a", Coarse(0.5))
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert config["evaluators"][0]["finalizers"] == [
        {"_target_": f"{__name__}.Coarse", "step": 0.5}
    ]
    opened = nasplug.open_run(tmp_path / "a", [HERE])
    best = made.best("top1")
    assert grid(nasplug.load(opened.export(best.arch, tmp_path / "e")), 0.5)
    with pytest.raises(
        NasplugError, match=r"another configuration: .*finalizers.*step was 0.5, now"
    ):
        run(cache, tmp_path / "a", Coarse(0.25))


def test_one_of_a_stranger_s_package_is_not_imported(cache: Path, tmp_path: Path) -> None:
    run(cache, tmp_path / "a", Coarse(0.5))
    with pytest.raises(NasplugError, match=rf"names {__name__}.Coarse, .*allow=\[{HERE}\]"):
        nasplug.open_run(tmp_path / "a")


@pytest.mark.parametrize(
    ("finalizers", "words"),
    [
        ([{"_target_": "os.system"}], "names os.system, which is of no installed plug-in"),
        (
            [{"_target_": "nasplug.testing.fakes.ToyTask"}],
            "must be a Finalizer, but .*ToyTask is none",
        ),
        ([{"step": 1}], "finalizers"),
    ],
)
def test_what_is_none_is_refused(finalizers: Any, words: str, cache: Path, tmp_path: Path) -> None:
    run(cache, tmp_path / "a")
    file = tmp_path / "a" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["evaluators"][0]["finalizers"] = finalizers
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(NasplugError, match=words):
        nasplug.open_run(tmp_path / "a")


def test_the_command_line_searches_reports_and_exports_with_one(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("rounding.py").write_text(Path(__file__).read_text())
    monkeypatch.syspath_prepend(".")
    arguments = (
        "+space=ncf", "task=interactions", "task.users=40", "task.items=30", "task.interactions=400",
        "evaluator=supernet", "evaluator.training.epochs=1", "+strategy=random", "budget=2", "run=a",
        "evaluator.finalizers=[{_target_: rounding.Coarse, step: 0.125}]",
    )  # fmt: skip
    status, _, err = cli(*arguments)
    assert status == 0, err
    for mode in ("report", "export"):
        status, _, err = cli(f"mode={mode}", "run=a", *(["to=e"] if mode == "export" else []))
        assert status != 0 and "allow=[rounding]" in err
        status, _, err = cli(
            f"mode={mode}", "run=a", "allow=[rounding]", *(["to=e"] if mode == "export" else [])
        )
        assert status == 0, err
    assert json.loads(Path("e/network.json").read_text())["number"] in (0, 1)
    assert grid(nasplug.load("e"), 0.125)
