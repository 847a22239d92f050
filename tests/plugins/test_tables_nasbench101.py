"""The space of NAS-Bench-101: graphs up to isomorphism, notation, networks and their costs."""

import itertools
import json
from hashlib import md5

import numpy as np
import pytest
from nasplug_tables.spaces.graphs import count, pairs
from nasplug_tables.spaces.nasbench101 import NasBench101
from nasplug_tables.spaces.nasbench101_network import OPERATIONS, Graph

from nasplug import NasplugError
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters

TINY = {"channels": 6, "stacks": 2, "cells": 1, "image_size": 8}
INCEPTION = (
    "0111010 0000001 0000001 0000100 0000001 0000001 0000000".replace(" ", "")
    + " input,conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output"
)


class TestContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBench101(**TINY)


class TestSmallContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBench101(nodes=4, edges=5, **TINY)


def graph_hash(matrix, labels):
    """The benchmark's key of a graph: rounds of hashing every node with its neighbours' hashes."""

    def digest(text):
        return md5(text.encode()).hexdigest()

    nodes = range(len(labels))
    ins, outs = matrix.sum(0).tolist(), matrix.sum(1).tolist()
    hashes = [digest(str((outs[n], ins[n], labels[n]))) for n in nodes]
    for _ in nodes:
        hashes = [
            digest(
                "|".join(
                    (
                        "".join(sorted(hashes[m] for m in nodes if matrix[m, n])),
                        "".join(sorted(hashes[m] for m in nodes if matrix[n, m])),
                        hashes[n],
                    )
                )
            )
            for n in nodes
        ]
    return digest(str(sorted(hashes)))


def drawn(nodes, rng=None):
    """All graphs of exactly `nodes` nodes without dead ends, or random ones: (matrix, labels)."""
    places = pairs(nodes)
    every = itertools.product((0, 1), repeat=len(places)) if rng is None else None
    for bits in every or rng.integers(0, 2, (300, len(places))):
        matrix = np.zeros((nodes, nodes), int)
        matrix[tuple(np.transpose(places))] = bits
        if matrix[:-1].any(1).all() and matrix[:, 1:].any(0).all() and matrix.sum() <= 9:
            yield matrix


def text(matrix, labels):
    names = ["input", *(OPERATIONS[k] for k in labels), "output"]
    return "".join(map(str, matrix.ravel())) + " " + ",".join(names)


def test_counts_are_the_published():
    assert [count(n, 9, 3) for n in range(2, 7)] == [1, 7, 91, 2532, 64542]
    assert NasBench101().size == 423_624


def test_architectures_are_the_benchmarks_hashes():
    """Every written graph of up to 5 nodes: one architecture exactly where one hash."""
    space = NasBench101(nodes=5)
    hashes, archs = {}, set()
    for nodes in (2, 3, 4, 5):
        for matrix in drawn(nodes):
            for labels in itertools.product(range(3), repeat=nodes - 2):
                arch = space.parse(text(matrix, labels))
                archs.add(arch)
                assert hashes.setdefault(graph_hash(matrix, [-1, *labels, -2]), arch) == arch
    assert len(archs) == len(hashes) == space.size == 2532


def test_relabelled_nodes_are_one_architecture():
    space, rng = NasBench101(), np.random.default_rng(0)
    for matrix in itertools.islice(drawn(7, rng), 30):
        labels = rng.integers(0, 3, 5)
        order = np.array([0, *(1 + rng.permutation(5)), 6])
        moved = matrix[np.ix_(order, order)]
        if not np.tril(moved).any():
            again = text(moved, labels[order[1:-1] - 1])
            assert space.parse(again) == space.parse(text(matrix, labels))


def test_the_representative_is_the_first_that_the_benchmark_writes():
    """The smallest number of the bits, column by column, then of the operations."""
    space = NasBench101()
    arch = space.parse(INCEPTION)
    bits = sum(bit << i for i, bit in enumerate(arch[:21]))
    found = []
    matrix = np.array([int(c) for c in INCEPTION.split()[0]]).reshape(7, 7)
    labels = [1, 0, 0, 0, 2]
    for order in itertools.permutations(range(1, 6)):
        whole = np.array([0, *order, 6])
        moved = matrix[np.ix_(whole, whole)]
        if not np.tril(moved).any():
            number = sum(int(moved[s, t]) << i for i, (s, t) in enumerate(pairs(7)))
            found.append((number, tuple(labels[n - 1] for n in order)))
    assert (bits, arch[21:]) == min(found)


def test_published_parameters():
    """The cell of the benchmark's own example, and the largest of all 423,624 networks."""
    space = NasBench101()
    params = space.costs([space.parse(INCEPTION), space.largest])["params"]
    assert params.tolist() == [2_694_282, 49_979_274]


def test_channels_are_shared_out():
    """Figures of the benchmark's own tests of its channel rule."""
    conv = OPERATIONS[0]
    split = Graph((conv,) * 3, frozenset({(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)}))
    assert split.widths(8, 8) == [8, 3, 3, 2, 8]
    chain = Graph((conv,) * 3, frozenset({(0, 1), (0, 3), (1, 2), (1, 4), (2, 3), (3, 4)}))
    assert chain.widths(8, 15) == [8, 8, 7, 7, 15]


def test_notation_and_back():
    space = NasBench101()
    for arch in space.valid(space.sample(50, np.random.default_rng(0))):
        assert space.parse(space.format(arch)) == arch
        bits, names = space.format(arch).split()
        side = len(names.split(","))
        rows = [[int(c) for c in bits[i * side : (i + 1) * side]] for i in range(side)]
        record = {"module_adjacency": rows, "module_operations": names.split(",")}
        assert space.parse(json.dumps(record)) == arch


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "0100",
        "010 input,output",
        "0010 input,output",
        "0000 input,output",
        "0100 input,conv",
        "010001000 input,conv5x5,output",
        "0" * 64 + " input," + "maxpool3x3," * 6 + "output",
        '{"module_adjacency": [[0, 1], [0, 0]]}',
        "[1, 2",
    ],
)
def test_other_notations_are_refused_in_one_line(wrong):
    with pytest.raises(NasplugError, match="must be written like") as error:
        NasBench101().parse(wrong)
    assert "\n" not in str(error.value)


def test_too_many_edges_are_refused():
    full = np.triu(np.ones((7, 7), int), 1)
    with pytest.raises(NasplugError, match="9 edges"):
        NasBench101().parse(text(full, [0] * 5))


@pytest.mark.parametrize("knobs", [{"nodes": 8}, {"edges": 5}, {"channels": 4}])
def test_impossible_sizes_are_refused(knobs):
    with pytest.raises(NasplugError, match="must be"):
        NasBench101(**knobs)


def test_a_new_node_is_a_neighbour():
    space = NasBench101(**TINY)
    chain = space.parse("010001000 input,maxpool3x3,output")
    longer = space.parse("0110001000010000 input,conv1x1-bn-relu,maxpool3x3,output")
    assert longer in space.neighbours(chain)
    assert chain in space.neighbours(longer)


def test_costs_equal_counting_where_channels_do_not_divide():
    space = NasBench101(channels=7, stacks=2, cells=2, num_classes=3, in_channels=1, image_size=9)
    for arch in [space.parse(INCEPTION), space.largest, space.smallest]:
        network = space.build(arch)
        assert space.costs([arch])["params"][0] == parameters(network)
        assert space.costs([arch])["macs"][0] == multiply_adds(network, space.example_inputs(1))
