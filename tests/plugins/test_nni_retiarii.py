"""Programs written for nni before 3.0 run with other import lines."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from nasplug_nni.retiarii import DartsTrainer, InputChoice, LayerChoice, ValueChoice, space
from torch import nn

from nasplug import NasplugError, seeded


class Net(nn.Module):
    """Two layer choices and a skip connection, as the quick start of nni has it."""

    def __init__(self):
        super().__init__()
        self.conv1 = LayerChoice([nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 5, padding=2)])
        self.conv2 = LayerChoice({"three": nn.Conv2d(4, 4, 3, padding=1), "none": nn.Identity()})
        self.skip = InputChoice(n_candidates=2, n_chosen=1)
        self.scale = ValueChoice([0.5, 2.0], label="scale")
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        y = self.conv2(x)
        y = self.skip([y, x + y]) * self.scale()
        return self.fc(y.mean((2, 3)))


class Needle(nn.Module):
    """Only one of two layers lets anything through."""

    def __init__(self):
        super().__init__()
        self.gate = LayerChoice([nn.Threshold(1e9, 0.0), nn.Identity()])
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.gate(x).flatten(1))


def data(shape, n=96):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, *shape, generator=generator)
    return torch.utils.data.TensorDataset(x, (x.flatten(1)[:, 0] > 0).long())


def accuracy(output, target):
    return {"acc1": (output.argmax(1) == target).float().mean().item()}


def trainer(model, shape, **knobs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-4)
    return DartsTrainer(
        model=model, loss=nn.CrossEntropyLoss(), metrics=accuracy, optimizer=optimizer,
        dataset=data(shape), batch_size=16, log_frequency=1, **knobs,
    )  # fmt: skip


@pytest.mark.parametrize("unrolled", [False, True])
def test_the_program_runs(caplog, unrolled):
    caplog.set_level(logging.INFO)
    with seeded(0):
        model = Net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    search = trainer(model, (1, 8, 8), num_epochs=1, unrolled=unrolled)
    search.fit()
    found = search.export()
    assert list(found) == ["conv1", "conv2", "skip", "scale"]
    assert found["conv1"] in (0, 1) and found["conv2"] in ("three", "none")
    assert found["skip"] in ([0], [1]) and found["scale"] in (0.5, 2.0)
    assert sum("acc1" in line for line in caplog.messages) == 3
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert search.optimizer.defaults["momentum"] == 0.9


def test_it_finds_the_layer_that_matters():
    with seeded(0):
        model = Needle()
    search = trainer(model, (4,), num_epochs=20, arc_learning_rate=0.05)
    search.fit()
    assert search.export() == {"gate": 1}
    again = trainer(model, (4,), num_epochs=20, arc_learning_rate=0.05)
    again.fit()
    assert all(map(torch.equal, search.alphas, again.alphas)), "one seed, one result"


def test_every_strategy_can_have_the_space():
    with seeded(0):
        found = space(Net(), input_shape=(1, 8, 8))
    assert [v.name for v in found.variables] == ["conv1", "conv2", "skip", "scale"]
    assert found.size == 16
    arch = found.valid(found.sample(1, np.random.default_rng(0)))[0]
    with seeded(1):
        first, second = found.build(arch), found.build(arch)
    assert not torch.equal(first.model.fc.weight, second.model.fc.weight), "weights are fresh"
    assert first(*found.example_inputs(2)).shape == (2, 2)


def test_open_choices_and_small_data_are_errors():
    with pytest.raises(NasplugError, match="no open choices to run, but has this LayerChoice"):
        Net()(torch.zeros(1, 1, 8, 8))
    with pytest.raises(NasplugError, match="must hold a batch"):
        DartsTrainer(Net(), nn.CrossEntropyLoss(), accuracy,
                     torch.optim.SGD(Net().parameters(), 0.1), 1, data((1, 8, 8), 20))  # fmt: skip
