"""The space `ncf`, its stand-alone networks and its super-network."""

import numpy as np
import pytest
import torch
from nasplug_ncf.space import Ncf

from nasplug import NasplugError, make, seeded
from nasplug.testing import SpaceContract, SuperNetworkContract


def small() -> Ncf:
    return Ncf(users=20, items=30, widths=(4, 8), hidden=(4, 8, 16), layers=3)


class TestSmall(SpaceContract):
    @pytest.fixture
    def space(self):
        return small()


class TestPublished(SpaceContract):
    samples = 2

    @pytest.fixture
    def space(self):
        return Ncf(users=50, items=60)


class TestElastic(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return small()


def test_the_published_space_is_counted_by_hand():
    towers = sum(8**layers for layers in range(1, 7))
    assert make("space", "ncf").size == Ncf().size == 5**3 * towers == 37_449_000


def test_costs_by_hand():
    space = Ncf(users=1000, items=500)
    arch = space.arch(
        {
            "gmf_factors": 16, "mlp_user_width": 32, "mlp_item_width": 8,
            "layers": 2, "hidden1": 64, "hidden2": 8,
        }
    )  # fmt: skip
    tables = 1000 * (16 + 32) + 500 * (16 + 8)
    linears = (32 + 8) * 64 + 64 * 8 + (8 + 16) * 1
    biases = 64 + 8 + 1
    costs = {name: float(column[0]) for name, column in space.costs([arch]).items()}
    assert costs == {
        "params": tables + linears + biases,
        "params_dense": linears + biases,
        "macs": linears,
    }


def test_costs_of_many_are_those_of_each():
    space = Ncf()
    archs = space.sample(200, np.random.default_rng(0))
    together = space.costs(archs)
    for name, column in together.items():
        assert column.tolist() == [space.costs([a])[name][0] for a in map(tuple, archs.tolist())]


def test_the_largest_on_pinterest_has_the_published_order_of_parameters():
    space = Ncf(users=55_187, items=9_916)
    costs = space.costs([space.largest])
    tables = costs["params"] - costs["params_dense"]
    assert tables == (55_187 + 9_916) * 256
    assert costs["params_dense"][0] == pytest.approx(5.5e6, rel=0.01)


def test_a_wider_part_keeps_the_columns_of_the_others():
    """The item vector and the GMF product meet the same weights whatever the widths beside them,
    up to the scale that the tower's inputs call for."""
    space = small()
    with seeded(0):
        network = space.supernet()
    narrow = {
        "gmf_factors": 8, "mlp_user_width": 4, "mlp_item_width": 8, "layers": 1, "hidden1": 4
    }  # fmt: skip
    one = network.extract(space.arch(narrow))
    other = network.extract(space.arch({**narrow, "mlp_user_width": 8, "hidden1": 16}))
    items, wider = one.tower[0].weight[:, 4:], other.tower[0].weight[:4, 8:]
    torch.testing.assert_close(items * (12 / 16) ** 0.5, wider)
    torch.testing.assert_close(one.output.weight[:, :4] / 2, other.output.weight[:, :4])
    assert torch.equal(one.output.weight[:, 4:], other.output.weight[:, 16:])


def test_signals_keep_their_size_at_every_width():
    space = Ncf(users=400, items=400)
    with seeded(0):
        network = space.supernet()
    spread = []
    for width in (16, 128, 1024):
        arch = space.arch(
            {**dict.fromkeys(["gmf_factors", "mlp_user_width", "mlp_item_width"], 64), "layers": 6}
            | {f"hidden{k}": width for k in range(1, 7)}
        )
        logits = network.extract(arch)(*space.example_inputs(400)).detach()
        spread.append(float(logits.std()))
    assert max(spread) < 8 * min(spread)


def test_one_step_trains_exactly_the_active_slices():
    space = small()
    network = space.supernet()
    arch = space.arch(
        {"gmf_factors": 4, "mlp_user_width": 8, "mlp_item_width": 4, "layers": 2, "hidden1": 8}
    )
    network.activate(arch)
    network(*space.example_inputs(30)).sigmoid().square().sum().backward()
    full = network.full
    assert full.gmf_user.weight.grad[:, 4:].abs().sum() == 0
    assert full.mlp_user.weight.grad[:, 4:].abs().sum() > 0
    assert full.tower[0].weight.grad[:, 12:].abs().sum() == 0
    assert full.tower[1].weight.grad[4:].abs().sum() == 0
    assert full.tower[2].weight.grad is None


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"users": 0}, "users >= 1"),
        ({"layers": 0}, "layers >= 1"),
        ({"widths": []}, "widths must be distinct positive"),
        ({"hidden": [8, 8]}, "hidden must be distinct positive"),
    ],
)
def test_wrong_knobs(knobs, words):
    with pytest.raises(NasplugError, match=words):
        Ncf(**knobs)
