"""The space of NAS-Bench-NLP: recurrent cells up to how they are written, and their networks."""

import json

import numpy as np
import pytest
import torch
from nasplug_tables.spaces.nasbench_nlp import NasBenchNlp
from nasplug_tables.spaces.nasbench_nlp_cell import SOURCES, Cell, Node
from nasplug_tables.table.table import Table

from nasplug import NasplugError, seeded
from nasplug.contracts.types import full_trials
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import parameters

TINY = {"embedding": 3, "hidden": 4, "layers": 2, "vocabulary": 5, "steps": 3}


def node(op, *inputs):
    return {"op": op, "input": list(inputs)}


RNN = {"i": node("linear", "x", "h_prev_0"), "h_new_0": node("activation_tanh", "i")}
GRU = {
    "r": node("linear", "x", "h_prev_0"),
    "r_act": node("activation_sigm", "r"),
    "z": node("linear", "x", "h_prev_0"),
    "z_act": node("activation_sigm", "z"),
    "rh": node("elementwise_prod", "r_act", "h_prev_0"),
    "h": node("linear", "x", "rh"),
    "h_act": node("activation_tanh", "h"),
    "h_new_0": node("blend", "z_act", "h_prev_0", "h_act"),
}
LSTM = {
    **{gate: node("linear", "x", "h_prev_0") for gate in "ijfo"},
    **{f"{gate}_act": node("activation_sigm", gate) for gate in "ijf"},
    "o_act": node("activation_tanh", "o"),
    "kept": node("elementwise_prod", "f_act", "h_prev_1"),
    "new": node("elementwise_prod", "i_act", "j_act"),
    "h_new_1": node("elementwise_sum", "kept", "new"),
    "act": node("activation_tanh", "h_new_1"),
    "h_new_0": node("elementwise_prod", "act", "o_act"),
}
KNOWN = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class TestContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBenchNlp(nodes=4, **TINY)


def test_the_only_cells_of_one_node():
    """Linear maps of the state and x, twice the one or the other."""
    space = NasBenchNlp(nodes=1, **TINY)
    texts = [space.format(arch) for arch in space.valid(space.enumerate())]
    inputs = [json.loads(text)["h_new_0"]["input"] for text in texts]
    assert space.size == 3
    assert sorted(inputs) == [
        ["h_prev_0", "h_prev_0", "x"],
        ["h_prev_0", "x"],
        ["h_prev_0", "x", "x"],
    ]


@pytest.mark.parametrize("name", KNOWN)
def test_known_cells_and_back(name):
    space = NasBenchNlp()
    arch = space.parse(json.dumps(KNOWN[name]))
    assert space.parse(space.format(arch)) == arch
    again = json.loads(space.format(arch))
    assert len(again) == len(KNOWN[name])
    assert sorted(n["op"] for n in again.values()) == sorted(n["op"] for n in KNOWN[name].values())


@pytest.mark.parametrize("name", KNOWN)
def test_names_order_and_dead_nodes_do_not_matter(name):
    space, recipe = NasBenchNlp(), KNOWN[name]
    arch = space.parse(json.dumps(recipe))
    names = {n: n if n.startswith("h_new") else f"{len(n)}_{i}" for i, n in enumerate(recipe)}
    other = {
        names[n]: node(
            spec["op"],
            *(
                names.get(source, source)
                for source in (spec["input"] if spec["op"] == "blend" else spec["input"][::-1])
            ),
        )
        for n, spec in reversed(recipe.items())
    }
    other["dead"] = node("activation_tanh", names["i" if "i" in names else "r"])
    assert space.parse(json.dumps(other)) == arch


def test_shuffled_cells_are_one():
    """Random cells, their nodes renumbered in another order that respects the sources."""
    space, rng = NasBenchNlp(nodes=10), np.random.default_rng(0)
    for arch in space.valid(space.sample(30, rng)):
        recipe = json.loads(space.format(arch))
        names = list(recipe)
        shuffled = {names[i]: recipe[names[i]] for i in rng.permutation(len(names))}
        assert space.parse(json.dumps(shuffled)) == arch


def test_cells_grow_and_shrink_by_a_node():
    """The activation of a simple cell is a neighbour's more, and the other way round."""
    space = NasBenchNlp()
    rnn = space.parse(json.dumps(RNN))
    bare = space.parse(json.dumps({"h_new_0": node("linear", "x", "h_prev_0")}))
    assert rnn in space.neighbours(bare) and bare in space.neighbours(rnn)
    for arch in space.valid(space.sample(3, np.random.default_rng(0))):
        count = len(json.loads(space.format(arch)))
        counts = {len(json.loads(space.format(a))) for a in space.neighbours(arch)}
        assert count + 1 in counts and count in counts


def test_sides_of_a_blend_matter():
    space = NasBenchNlp()
    swapped = {**GRU, "h_new_0": node("blend", "z_act", "h_act", "h_prev_0")}
    assert space.parse(json.dumps(GRU)) != space.parse(json.dumps(swapped))


def test_twins_differ_by_what_they_lead_to():
    """Two equal linear maps are told apart by their consumers, in either order."""
    first, second = Node("linear2", (1, 0)), Node("linear2", (1, 0))
    base = len(SOURCES)
    one = (first, second, Node("activation_tanh", (base,)), Node("activation_sigm", (base + 1,)))
    two = (first, second, Node("activation_tanh", (base + 1,)), Node("activation_sigm", (base,)))
    last = Node("elementwise_prod", (base + 2, base + 3))
    assert Cell((*one, last), (4,)).ordered() == Cell((*two, last), (4,)).ordered()


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"h_new_0": node("activation_tanh", "h_prev_0")},
        {"h_new_0": node("linear", "x")},
        {"h_new_0": node("linear", "x", "x")},
        {"h_new_0": node("elementwise_sum", "x", "h_prev_0")},
        {"h_new_0": node("linear", "x", "h_prev_1")},
        {"h_new_1": node("linear", "x", "h_prev_0")},
        {"h_new_0": node("linear", "x", "nothing")},
        {"h_new_0": node("linear", "x", "h_prev_0", "h_new_0")},
        {"h_new_0": node("conv", "x", "h_prev_0")},
        {"h_new_0": {"op": "linear"}},
        {f"h_new_{k}": node("linear", "x", "h_prev_0", f"h_prev_{k % 3}") for k in range(4)},
        [1],
    ],
)
def test_other_recipes_are_refused_in_one_line(recipe):
    with pytest.raises(NasplugError, match="must be written like") as error:
        NasBenchNlp().parse(json.dumps(recipe))
    assert "\n" not in str(error.value)


def test_a_table_of_recipes(tmp_path):
    """Nodes named as the benchmark names them."""
    space = NasBenchNlp()
    recipe = {
        "node_0": node("linear", "x", "h_prev_0"),
        "h_new_0": node("activation_tanh", "node_0"),
    }
    (tmp_path / "t.json").write_text(json.dumps({json.dumps(recipe): {"test_loss": 4.5}}))
    table = Table(space, str(tmp_path / "t.json"))
    assert table.metrics["test_loss"].direction == "minimize"
    (found,) = table.evaluate(full_trials([space.parse(json.dumps(RNN))]), ["test_loss"])
    assert found.values == {"test_loss": 4.5}


def test_too_many_nodes_are_refused():
    with pytest.raises(NasplugError, match="at most 5 nodes"):
        NasBenchNlp(nodes=5).parse(json.dumps(GRU))
    with pytest.raises(NasplugError, match="at least 1"):
        NasBenchNlp(nodes=0)


def test_samples_of_the_published_size():
    space = NasBenchNlp()
    drawn = space.valid(space.sample(20, np.random.default_rng(0)))
    assert len(drawn) == 20
    counts = [len(json.loads(space.format(arch))) for arch in drawn]
    assert min(counts) >= 1 and max(counts) <= 24


def test_lstm_computes_what_torchs_does():
    """torch's activations, and the weights of its four gates copied from the recipe's."""
    ours = {"j_act": node("activation_tanh", "j"), "o_act": node("activation_sigm", "o")}
    space = NasBenchNlp(embedding=3, hidden=3, layers=1, vocabulary=5, steps=4)
    arch = space.parse(json.dumps({**LSTM, **ours}))
    recipe = json.loads(space.format(arch))

    def source(name, op):
        return next(n for n in recipe[name]["input"] if recipe.get(n, {}).get("op") == op)

    products = recipe["h_new_1"]["input"]
    kept = next(name for name in products if "h_prev_1" in recipe[name]["input"])
    new = next(name for name in products if name != kept)
    gates = [
        source(new, "activation_sigm"),
        source(kept, "activation_sigm"),
        source(new, "activation_tanh"),
        source("h_new_0", "activation_sigm"),
    ]
    with seeded(0):
        layer = space.build(arch).layers[0]
    known = torch.nn.LSTM(3, 3, batch_first=True)
    with torch.no_grad():
        linear = [layer.linear[str(list(recipe).index(recipe[g]["input"][0]))] for g in gates]
        known.weight_hh_l0.copy_(torch.cat([gate.weight[:, :3] for gate in linear]))
        known.weight_ih_l0.copy_(torch.cat([gate.weight[:, 3:] for gate in linear]))
        known.bias_ih_l0.copy_(torch.cat([gate.bias for gate in linear]))
        known.bias_hh_l0.zero_()
        x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(layer(x), known(x)[0], atol=1e-6)


def test_blend_and_rnn_compute_what_is_written():
    """h = z h + (1 - z) tanh(i), z the sigmoid of i, i linear in (h, x), step by step."""
    recipe = {
        "i": node("linear", "x", "h_prev_0"),
        "z": node("activation_sigm", "i"),
        "t": node("activation_tanh", "i"),
        "h_new_0": node("blend", "z", "h_prev_0", "t"),
    }
    space = NasBenchNlp(embedding=3, hidden=3, layers=1, vocabulary=5, steps=4)
    with seeded(0):
        layer = space.build(space.parse(json.dumps(recipe))).layers[0]
    (linear,) = layer.linear.values()
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    h, expected = torch.zeros(2, 3), []
    with torch.no_grad():
        for step in x.unbind(1):
            i = linear(torch.cat([h, step], 1))
            h = i.sigmoid() * h + (1 - i.sigmoid()) * i.tanh()
            expected.append(h)
        assert torch.allclose(layer(x), torch.stack(expected, 1), atol=1e-6)


def test_published_language_model():
    """Counted by hand: the tied embedding and its bias, and the gates of three layers."""
    space = NasBenchNlp()
    arch = space.parse(json.dumps(GRU))
    gates = [600 * (1000 + 1), 600 * (1200 + 1), 400 * (1000 + 1)]
    assert space.costs([arch])["params"][0] == 10_000 * 401 + 3 * sum(gates)
    small = NasBenchNlp(**TINY)
    assert small.costs([arch])["params"][0] == parameters(small.build(arch))
