"""Super-networks of nni's spaces: the contract, mixtures, and what nni gets wrong."""

import copy
import pickle

import nni_nets
import pytest
import torch
from nasplug_nni.space.nni_space import NniSpace

import nasplug
from nasplug import NasplugError, seeded
from nasplug.testing import SuperNetworkContract

DIMS = {"num_classes": 10, "in_channels": 1, "image_size": 8}


class Contract(SuperNetworkContract):
    samples = 2


class TestNested(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Nested", **DIMS)


class TestCells(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Cells", **DIMS)


class TestValues(Contract):
    """Convolutions without bias, which nni's own super-networks cannot give back."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Values", **DIMS)


class TestSizes(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Sizes", **DIMS)

    def test_it_is_mixed(self, space):
        """So the contract's test of mixtures does not end with an error."""
        net = self.make(space)
        weights = [w.requires_grad_() for w in even(space)]
        net.relax(weights)
        net(*space.example_inputs(2)).square().sum().backward()
        assert all((w.grad != 0).all() for w in weights)

    def test_a_mixture_of_kernels_is_their_sum(self, space):
        net, (x,) = self.make(space), space.example_inputs(2)
        names = [v.name for v in space.variables]
        one = {"width": torch.tensor([0.0, 0.0, 1.0]), "layer": torch.tensor([1.0, 0.0])}
        with torch.no_grad():
            net.relax([{**one, "kernel": torch.tensor([0.2, 0.5, 0.3])}[name] for name in names])
            mixed = net(x)
            nets = [
                net.extract(space.arch({"width": 8, "kernel": k, "layer": 0})) for k in (1, 3, 5)
            ]
            first = sum(w * n.stem(x) for w, n in zip((0.2, 0.5, 0.3), nets, strict=True))
            expected = nets[0].head(nets[0].norm(first).relu().mean((2, 3)))
        torch.testing.assert_close(mixed, expected)


class TestShifted(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return NniSpace("nni_nets.Shifted", input_shape=[2, 4])


class TestLooseEnds(Contract):
    samples = 1

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        args = {"width": 4, "num_cells": 3, "dataset": "cifar"}
        return NniSpace("nni.nas.hub.pytorch.ENAS", args, **DIMS)


class TestTransformer(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        return nasplug.make("space", "nni_autoformer", **{**DIMS, "image_size": 16})


class TestMobile(Contract):
    """Widths, expansions and kernels that depend on each other, squeeze-and-excite or none, depth."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls):
        args = {
            "base_widths": [16, 16, 16, 32, 32],
            "width_multipliers": [0.5, 1.0],
            "expand_ratios": [2.0, 3.0],
            "squeeze_excite": ["none", "optional"],
            "depth_range": [1, 2],
            "stride": [2, 1, 2, 1, 1],
            "activation": ["hswish", "relu", "relu", "hswish", "hswish"],
        }
        return NniSpace("nni.nas.hub.pytorch.MobileNetV3Space", args, **DIMS)

    def test_its_widths_cannot_be_mixed(self, space):
        """Twice half the width, expanded half as much, are no parts of the largest."""
        with pytest.raises(NasplugError, match=r"'s1_i0_exp'.* cannot be relaxed"):
            self.make(space).relax(even(space))


def supernet(name):
    space = NniSpace(f"nni_nets.{name}", **DIMS)
    with seeded(0):
        return space, space.supernet()


def even(space):
    return [torch.full((len(v.options),), 1 / len(v.options)) for v in space.variables]


def test_mixtures_are_weighted_sums():
    """Against the sum written out: DARTS, equation 2, for one layer choice after another."""
    space, net = supernet("Skip")
    net.eval()
    (x,) = space.example_inputs(2)
    a, b, c = torch.tensor([0.3, 0.7]), torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.6, 0.4])
    with torch.no_grad():
        net.relax([a, b, c])
        mixed = net(x)
        parts = {
            name: net.extract(space.from_nni({"net/1": i, "net/2": j, "net/3": [0]}))
            for name, i, j in [("00", 0, 0), ("11", 1, 1), ("12", 1, 2)]
        }
        stem = parts["00"].stem(x).relu()
        first = a[0] * parts["00"].one(stem) + a[1] * parts["11"].one(stem)
        second = sum(w * parts[k].two(first) for w, k in zip(b, ("00", "11", "12"), strict=True))
        out = c[0] * second + c[1] * (second + first)
        expected = parts["00"].head(out.mean((2, 3)))
    torch.testing.assert_close(mixed, expected)


def test_mixtures_have_gradients_for_every_option():
    space, net = supernet("Nested")
    weights = [w.requires_grad_() for w in even(space)]
    net.relax(weights)
    net(*space.example_inputs(4)).square().sum().backward()
    assert all((w.grad != 0).any() for w in weights)
    assert all(p.grad is not None for p in net.parameters())


def test_options_without_weight_are_not_computed():
    space, net = supernet("Skip")
    ran = []
    net.relax([torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.0, 0.5]), torch.tensor([1.0, 0.0])])
    for name, module in net._network(net._setting).named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    net(*space.example_inputs(2))
    assert "one.1" in ran and {"two.0", "two.2"} <= set(ran)
    assert not {"one.0", "two.1"} & set(ran)


def test_what_cannot_be_relaxed_is_named():
    space, net = supernet("Values")
    with pytest.raises(NasplugError, match="choice 'slope' cannot be relaxed"):
        net.relax(even(space))


def test_depths_and_branches_are_trained_apart():
    space, net = supernet("Nested")
    arch = space.from_nni({"outer": "conv", "depth": 1, "block0": 0, "pair": [0, 2], "some": [0]})
    net.activate(arch)
    net(*space.example_inputs(4)).sum().backward()
    touched = {name for name, p in net.named_parameters() if p.grad is not None}
    assert any(".blocks.0.0." in n for n in touched) and any(".outer" not in n for n in touched)
    assert not any(".blocks.1." in name or ".inner" in name for name in touched)


def test_state_goes_out_and_in_and_copies_are_apart():
    space, net = supernet("Values")
    with seeded(1):
        other = space.supernet()
    other.load_state_dict(net.state_dict())
    inputs = space.example_inputs(2)
    for arch in (space.smallest, space.valid(space.enumerate())[-1]):
        for one in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            net.activate(arch)
            one.activate(arch)
            assert torch.equal(one(*inputs), net(*inputs))


def test_nni_loses_layers_without_bias_and_we_do_not():
    from nni.nas.strategy import RandomOneShot

    space, net = supernet("NoBias")
    arch = space.smallest
    with pytest.raises(RuntimeError, match="bias"):
        RandomOneShot().mutate_model(nni_nets.NoBias()).freeze(space.to_nni(arch))
    assert net.extract(arch).conv.bias is None


def test_kernels_share_their_centres():
    space, net = supernet("Values")
    small, large = (
        net.extract(space.arch({"width": 4, "kernel": k, "slope": 0.25})) for k in (3, 5)
    )
    assert torch.equal(small.stem.weight, large.stem.weight[:, :, 1:-1, 1:-1])
    assert net.store.stem.weight.shape == (8, 1, 5, 5)


def test_cells_of_nasbench101_say_that_they_have_none():
    space = NniSpace("nni.nas.hub.pytorch.NasBench101", {"stem_out_channels": 4})
    with pytest.raises(NasplugError, match=r"has no super-network.*evaluator=training"):
        space.supernet()
