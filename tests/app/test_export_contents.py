"""What an export holds: shared weights once, what the task says, and graphs of any inputs."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasplug
from nasplug import NasplugError, SearchSpace, Variable, search
from nasplug.app.files.onnx import write_onnx
from nasplug.testing import ToyEvaluator, ToyTask

HERE = [__name__.split(".")[0]]
"""The package that exports name parts of."""


@dataclass
class Output:
    """Two tensors, of which one is in a tuple."""

    logits: Tensor
    states: tuple[Tensor, ...]


class Language(nn.Module):
    """An embedding whose weights are the head's too."""

    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(11, width)
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens, mask=None):
        hidden = self.embedding(tokens)
        hidden = hidden if mask is None else hidden * mask[..., None]
        return Output(self.head(hidden.tanh()), (hidden,))


class Languages(SearchSpace):
    """Of two widths."""

    variables = (Variable("width", (4, 8)),)

    def build(self, arch):
        return Language((4, 8)[arch[0]])

    def example_inputs(self, batch_size):
        tokens = torch.arange(5).repeat(batch_size, 1)
        return {"tokens": tokens, "mask": torch.ones(batch_size, 5)}


class Labelled(ToyTask):
    """Says what its outputs mean."""

    labels = ("a", "b", "c")

    def deployment_info(self):
        return {"labels": list(self.labels), "preprocessing": {"do_rescale": False}}


class Inheriting(ToyEvaluator):
    """Has networks to export."""

    def network(self, arch):
        with nasplug.seeded(sum(arch)):
            return Languages().build(arch).eval()


@pytest.fixture
def run():
    goals = ["score", "cost"]
    strategy = nasplug.make("strategy", "random")
    return search(Languages(), Inheriting(), strategy, goals, 2)


@pytest.mark.parametrize("format", ["safetensors", "onnx"])
def test_shared_weights_are_exported_and_loaded(run, format, tmp_path):
    best = run.best("score")
    network = nasplug.load(run.export(best, tmp_path / "e", format=format), HERE)
    assert network.head.weight is network.embedding.weight
    inputs = Languages().example_inputs(3)
    expected = Inheriting().network(best.arch)(**inputs)
    assert torch.equal(network(**inputs).logits, expected.logits)
    size = (tmp_path / "e" / "weights.safetensors").stat().st_size
    assert size < 1.9 * 4 * network.head.weight.numel()


def test_the_graph_has_the_names_of_keywords_and_of_outputs(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    record = run.best("score")
    folder = run.export(record, tmp_path / "e", format="onnx")
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    inputs = Languages().example_inputs(3)
    found = session.run(["logits", "states.0"], {n: x.numpy() for n, x in inputs.items()})
    expected = Inheriting().network(record.arch)(**inputs)
    for mine, its in zip(found, (expected.logits, expected.states[0]), strict=True):
        np.testing.assert_allclose(mine, its.detach().numpy(), atol=1e-5)


class Adding(nn.Module):
    """Takes a pair and a factor."""

    def forward(self, pair, factor):
        return (pair[0] + pair[1]) * factor


def test_nested_inputs_have_a_graph_too(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = torch.arange(6.0).view(2, 3)
    write_onnx(Adding(), ((x, 2 * x), x + 1), tmp_path / "n.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    given = zip([node.name for node in session.get_inputs()], (x, 2 * x, x + 1), strict=True)
    (found,) = session.run(["output"], {name: value.numpy() for name, value in given})
    np.testing.assert_allclose(found, (3 * x * (x + 1)).numpy())


def labelled(task, budget=2, folder=None):
    strategy = nasplug.make("strategy", "random")
    goals = ["score", "cost"]
    return search(
        Languages(), Inheriting(), strategy, goals, budget, task=task, run=folder
    )  # fmt: skip


def test_an_export_says_what_the_task_says(monkeypatch, tmp_path):
    monkeypatch.setattr("nasplug.app.search.check_fit", lambda space, task: None)
    run = labelled(Labelled())
    folder = run.export("score", tmp_path / "e")
    described = json.loads((folder / "network.json").read_text())
    assert described["task"] == Labelled().deployment_info()
    assert isinstance(nasplug.load(folder, HERE), Language)
    monkeypatch.setattr(Labelled, "labels", ({1},))
    with pytest.raises(NasplugError, match="deployment_info of Labelled must be JSON"):
        run.export("score", tmp_path / "f")


def test_an_export_on_other_data_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("nasplug.app.search.check_fit", lambda space, task: None)
    run = labelled(Labelled(), folder=tmp_path / "a")
    run.export("score", tmp_path / "e")
    monkeypatch.setattr(Labelled, "data_fingerprint", lambda self: "others")
    with pytest.raises(NasplugError, match="on other data"):
        run.export("score", tmp_path / "f")
