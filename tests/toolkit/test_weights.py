"""Weights in files: shared ones stay shared, and a network is made without any to be given them."""

import threading

import pytest
import safetensors.torch
import torch
from torch import nn

from nasplug.toolkit.networks.weights import (
    load_built,
    load_weights,
    without_weights,
    write_weights,
)


class Tied(nn.Module):
    """An embedding and a head that share one tensor, a buffer, and one that no file holds."""

    def __init__(self, rows=7, width=4):
        super().__init__()
        self.embedding = nn.Embedding(rows, width)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, rows)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.linspace(1, 2, width), persistent=False)
        self.shift = torch.arange(width) / width

    def forward(self, tokens):
        return self.head(self.norm(self.embedding(tokens) * self.scale + self.shift))


TOKENS = torch.arange(7)


@pytest.fixture
def network():
    network = Tied().train()
    network(TOKENS)
    return network.eval()


def test_shared_weights_are_written_once_and_come_back_shared(network, tmp_path):
    write_weights(network, tmp_path / "w")
    state = safetensors.torch.load_file(tmp_path / "w")
    assert "head.weight" not in state and len(state) == len(network.state_dict()) - 1
    again = Tied().eval()
    again.head.weight = nn.Parameter(torch.zeros(7, 4))  # not shared as it is made
    load_weights(again, tmp_path / "w")
    assert again.head.weight is again.embedding.weight
    assert torch.equal(again(TOKENS), network(TOKENS))


def test_others_read_the_file_as_their_own(network, tmp_path):
    write_weights(network, tmp_path / "w")
    again = Tied().eval()
    safetensors.torch.load_model(again, tmp_path / "w")
    assert torch.equal(again(TOKENS), network(TOKENS))


def test_parts_of_one_tensor_are_written_each(tmp_path):
    whole, network = torch.arange(12.0).view(3, 4), nn.Module()
    network.a, network.b = nn.Parameter(whole[:2]), nn.Parameter(whole[1:])
    write_weights(network, tmp_path / "w")
    again = nn.Module()
    again.a, again.b = nn.Parameter(torch.zeros(2, 4)), nn.Parameter(torch.zeros(2, 4))
    load_weights(again, tmp_path / "w")
    assert torch.equal(again.a, whole[:2]) and torch.equal(again.b, whole[1:])


def test_without_weights_parameters_alone_have_no_memory():
    with without_weights():
        network = Tied()
        others = []
        other = threading.Thread(target=lambda: others.append(Tied()))
        other.start()
        other.join()
    assert all(p.is_meta for p in network.parameters())
    assert network.head.weight is network.embedding.weight
    assert not any(b.is_meta for b in network.buffers()) and not network.shift.is_meta
    assert not any(p.is_meta for p in [*others[0].parameters(), *Tied().parameters()])


def test_what_is_built_is_given_weights_without_having_any(network, tmp_path):
    write_weights(network, tmp_path / "w")
    made = []

    def build():
        made.append(Tied().eval())
        assert all(p.is_meta for p in made[-1].parameters())
        return made[-1]

    loaded = load_built(build, tmp_path / "w")
    assert loaded is made[-1] and len(made) == 1
    assert loaded.head.weight is loaded.embedding.weight and loaded.head.weight.requires_grad
    assert torch.equal(loaded(TOKENS), network(TOKENS))


class Computing(Tied):
    """Needs the numbers of its weights while it is made."""

    def __init__(self):
        super().__init__()
        self.largest = float(self.embedding.weight.abs().max())


class Deriving(Tied):
    """Keeps a tensor that follows from weights."""

    def __init__(self):
        super().__init__()
        self.sum = self.embedding.weight.detach().sum()


@pytest.mark.parametrize("kind", [Computing, Deriving])
def test_what_computes_with_its_weights_is_built_with_some(kind, network, tmp_path):
    write_weights(network, tmp_path / "w")
    loaded = load_built(lambda: kind().eval(), tmp_path / "w")
    assert torch.equal(loaded(TOKENS), network(TOKENS))
    assert not getattr(loaded, "sum", TOKENS).is_meta


def test_a_wrong_file_is_an_error_of_torch(network, tmp_path):
    write_weights(nn.Linear(2, 2), tmp_path / "w")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_built(Tied, tmp_path / "w")
