"""The space of NAS-Bench-ASR: size, notation, networks and their costs."""

import numpy as np
import pytest
import torch
from nasplug_tables.spaces.nasbench_asr import NasBenchAsr
from nasplug_tables.spaces.nasbench_asr_network import OPERATIONS, Convolution

from nasplug import NasplugError, seeded
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters

TINY = {"mels": 3, "channels": [4, 4, 8, 8], "groups": 2, "frames": 17}


class TestContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBenchAsr(**TINY, hidden=0)


def test_sizes_are_the_published():
    space = NasBenchAsr()
    assert space.size == 8242
    assert NasBenchAsr(isomorphic=False).size == 13824
    zero = OPERATIONS.index("zero")
    cells = NasBenchAsr(isomorphic=False).enumerate()
    core = cells[(cells[:, [0, 2, 5]] != zero).all(axis=1)]
    assert len(core) == 8000 and (space.canonical(core) == core).all()


def test_cells_that_are_zero_throughout_are_one():
    space = NasBenchAsr()
    texts = ["[[5, 0], [1, 0, 0], [2, 0, 0, 0]]", "[[0, 0], [0, 0, 0], [5, 0, 0, 0]]"]
    assert space.parse(texts[0]) == space.parse(texts[1])


def test_zero_operations_leave_their_skips():
    """Linear, then a convolution, before or after an operation that is zero with a skip around it."""
    space = NasBenchAsr(**TINY, hidden=0, isomorphic=False)
    texts = ["[[5, 1], [0, 0, 0], [1, 0, 0, 0]]", "[[0, 0], [1, 0, 0], [5, 0, 0, 1]]"]
    assert len({NasBenchAsr().parse(text) for text in texts}) == 1
    with seeded(0):
        one, two = (space.build(space.parse(text)).eval() for text in texts)
    two.load_state_dict(dict(zip(two.state_dict(), one.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 17, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(one(x), two(x))


def test_notation_and_back():
    space = NasBenchAsr()
    arch = space.parse("[[0, 1], [2, 1, 0], [3, 1, 1, 0]]")
    assert space.config(arch) == {
        **{"op1": "linear", "skip01": 1, "op2": "conv5d2", "skip02": 1, "skip12": 0},
        **{"op3": "conv7", "skip03": 1, "skip13": 1, "skip23": 0},
    }
    assert space.format(arch) == "[[0, 1], [2, 1, 0], [3, 1, 1, 0]]"
    for arch in space.valid(space.sample(50, np.random.default_rng(0))):
        assert space.parse(space.format(arch)) == arch


@pytest.mark.parametrize(
    "text",
    ["", "[[0, 1]]", "[[6, 1], [2, 1, 0], [3, 1, 1, 0]]", "[[0, 2], [2, 1, 0], [3, 1, 1, 0]]", "5"],
)
def test_other_notations_are_refused_in_one_line(text):
    with pytest.raises(NasplugError, match="must be written like") as error:
        NasBenchAsr().parse(text)
    assert "\n" not in str(error.value)


def test_costs_equal_counting_with_memory():
    space = NasBenchAsr(**TINY, hidden=5, num_classes=6)
    for text in ("[[0, 1], [2, 1, 0], [3, 1, 1, 0]]", "[[5, 0], [5, 0, 0], [5, 0, 0, 0]]"):
        arch = space.parse(text)
        network = space.build(arch)
        assert space.costs([arch])["params"][0] == parameters(network)
        assert space.costs([arch])["macs"][0] == multiply_adds(network, space.example_inputs(1))


def test_steps_are_quartered():
    space = NasBenchAsr(**TINY)
    assert space.build(space.smallest)(*space.example_inputs(2)).shape == (2, 5, 49)


@pytest.mark.parametrize(("kernel", "dilation"), [(5, 1), (5, 2), (7, 1), (7, 2), (8, 1)])
def test_a_convolution_sees_four_steps_of_the_future(kernel, dilation):
    with seeded(0):
        layer = Convolution(1, 1, kernel, dilation)
    torch.nn.init.ones_(layer.weight.weight)
    x = torch.zeros(1, 1, 31)
    x[..., 15] = 1
    with torch.no_grad():
        changed = torch.nonzero((layer(x) - layer(0 * x))[0, 0]).flatten()
    assert changed.min() == 15 - 4
    assert changed.max() == 15 + (kernel - 1) * dilation - 4


def test_channels_must_fit_the_groups():
    with pytest.raises(NasplugError, match="multiples of groups"):
        NasBenchAsr(channels=[10, 20, 30, 45], groups=10)
