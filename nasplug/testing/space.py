"""What every search space must do."""

from __future__ import annotations

import itertools
import json
import pickle
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture
from nasplug.plugins.building import build
from nasplug.plugins.describing import describe
from nasplug.toolkit.networks.nested import tensors
from nasplug.toolkit.networks.seeding import seeded

if TYPE_CHECKING:
    from torch import nn

SMALL = 20_000
"""Raw combinations up to which a space is walked through."""


class SpaceContract:
    """Give a `space` fixture. Large spaces are sampled; give a small one too, to have `size` checked."""

    samples = 4
    """How many random architectures are built, beside the smallest and the largest."""

    params = "params"
    """The cost that counts all parameters of the network; "params" itself may be a published count."""

    def signature(self, network: nn.Module) -> str:
        """What makes two networks the same: operations and the shapes of parameters, as text."""
        shapes = [(name, tuple(p.shape)) for name, p in network.named_parameters()]
        return f"{network}{shapes}"

    def archs(self, space: SearchSpace) -> list[Architecture]:
        """Random ones and the extremes."""
        drawn = space.sample(self.samples, np.random.default_rng(1))
        return list(
            dict.fromkeys([*space.valid(drawn), *space.valid([space.smallest, space.largest])])
        )

    def test_variables_have_distinct_names_and_options(self, space: SearchSpace) -> None:
        names = [v.name for v in space.variables]
        assert len(set(names)) == len(names)
        assert all(len(set(map(repr, v.options))) == len(v.options) >= 1 for v in space.variables)

    def test_samples_are_valid_canonical_and_distinct(self, space: SearchSpace) -> None:
        drawn = space.sample(50, np.random.default_rng(0))
        assert drawn.dtype == np.int64
        assert len(np.unique(drawn, axis=0)) == len(drawn)
        assert space.is_valid(drawn).all()
        assert (space.canonical(drawn) == drawn).all()
        assert (drawn[~space.active(drawn)] == 0).all()

    def test_one_seed_one_draw(self, space: SearchSpace) -> None:
        first, second = (space.sample(20, np.random.default_rng(5)) for _ in range(2))
        assert (first == second).all()

    def test_sampling_leaves_out_what_is_excluded(self, space: SearchSpace) -> None:
        first = set(space.valid(space.sample(20, np.random.default_rng(5))))
        second = space.valid(space.sample(20, np.random.default_rng(5), exclude=first))
        assert not first & set(second)

    def test_sampling_reaches_every_option(self, space: SearchSpace) -> None:
        drawn = space.sample(2000, np.random.default_rng(0))
        on = space.active(drawn)
        for j, variable in enumerate(space.variables):
            assert set(drawn[on[:, j], j]) == set(range(len(variable.options))), variable.name

    def test_config_and_back(self, space: SearchSpace) -> None:
        for arch in space.valid(space.sample(20, np.random.default_rng(2))):
            config = space.config(arch)
            assert space.arch(config) == arch
            assert json.loads(json.dumps(config)).keys() == config.keys()

    def test_canonical_is_idempotent_and_ignores_what_is_inactive(self, space: SearchSpace) -> None:
        rng = np.random.default_rng(3)
        counts = [len(v.options) for v in space.variables]
        genes = rng.integers(0, counts, (200, len(counts)))
        once = space.canonical(genes)
        assert (space.canonical(once) == once).all()
        other = np.where(space.active(once), once, rng.integers(0, counts, genes.shape))
        assert (space.canonical(other) == once).all()

    def test_equal_exactly_when_the_networks_are(self, space: SearchSpace) -> None:
        arch = self.archs(space)[0]
        around = [arch, *space.neighbours(arch)[:12]]
        networks = [self.signature(space.build(a)) for a in around]
        assert len(set(around)) == len(around) == len(set(networks))
        assert self.signature(space.build(arch)) == networks[0]

    def test_neighbours_are_valid_canonical_and_others(self, space: SearchSpace) -> None:
        arch = self.archs(space)[0]
        around = space.neighbours(arch)
        assert arch not in around and len(set(around)) == len(around)
        assert space.valid(around) == around

    def test_features_tell_architectures_apart(self, space: SearchSpace) -> None:
        drawn = space.sample(200, np.random.default_rng(4))
        features = space.features(drawn)
        assert features.shape[0] == len(drawn)
        assert len(np.unique(features, axis=0)) == len(drawn)

    def test_size_equals_enumeration(self, space: SearchSpace) -> None:
        counts = [len(v.options) for v in space.variables]
        if prod(counts) > SMALL:
            assert space.size > 0
            return
        every = np.array(list(itertools.product(*map(range, counts))), np.int64)
        distinct = set(space.valid(every))
        assert space.size == len(distinct)
        assert set(space.valid(space.enumerate())) == distinct
        assert (
            set(space.valid(space.sample(len(distinct) + 1, np.random.default_rng(0)))) == distinct
        )

    def test_build_is_seeded_shares_nothing_and_runs(self, space: SearchSpace) -> None:
        import torch

        inputs = space.example_inputs(2)
        for arch in self.archs(space):
            with seeded(7):
                first = space.build(arch)
            with seeded(7):
                second = space.build(arch)
            mine, its = first.state_dict(), second.state_dict()
            assert mine.keys() == its.keys()
            assert all(torch.equal(mine[k], its[k]) for k in mine)
            pointers = {p.data_ptr() for p in first.parameters()}
            assert not pointers & {p.data_ptr() for p in second.parameters()}
            with torch.no_grad():
                outputs = list(tensors(call(first.eval(), inputs)))
                assert outputs and all(torch.isfinite(x).all() for x in outputs)

    def test_costs_equal_counting_on_the_network(self, space: SearchSpace) -> None:
        archs = self.archs(space)
        costs = space.costs(archs)
        for i, arch in enumerate(archs):
            network = space.build(arch).eval()
            if self.params in costs:
                assert costs[self.params][i] == sum(p.numel() for p in network.parameters())
            if "macs" in costs:
                assert costs["macs"][i] == count_macs(network, space.example_inputs(1))

    def test_pickles(self, space: SearchSpace) -> None:
        again = pickle.loads(pickle.dumps(space))
        assert [v.name for v in again.variables] == [v.name for v in space.variables]
        first, second = (s.sample(5, np.random.default_rng(0)) for s in (space, again))
        assert (first == second).all()

    def test_is_described_by_its_constructor_arguments(self, space: SearchSpace) -> None:
        description = describe(space)
        again = build(json.loads(json.dumps(description)))
        assert again.variables == space.variables
        assert describe(again) == description


def count_macs(network: nn.Module, inputs: Inputs) -> int:
    """Multiply-adds of convolutions, linears and attention products of one forward, by fvcore."""
    import logging
    import warnings

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit's deprecation, at import and at use
        from fvcore.nn import FlopCountAnalysis

        from nasplug.toolkit.networks.positional import positional

        traced, values = positional(network, inputs), tuple(tensors(inputs))
        counted = FlopCountAnalysis(traced, values).unsupported_ops_warnings(False).by_operator()
    products = (
        "conv",
        "linear",
        "addmm",
        "matmul",
        "bmm",
        "einsum",
        "scaled_dot_product_attention",
    )
    return int(sum(counted.get(name, 0) for name in products))
