"""The spaces `denas_bert`, their networks and super-network, and pretrained weights."""

import json
import re

import numpy as np
import pytest
import torch
from nasplug_denas.bert.network import Bert
from nasplug_denas.bert.space import DenasBert
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, call, make, seeded
from nasplug.testing import SpaceContract, SuperNetworkContract

PUBLISHED = (11, 11, 704, 736, 1824)
"""The best structure of DE-NAS's notebook."""


def small(**changes):
    sizes = dict(
        vocabulary=30, num_classes=3, max_length=12, layers=(1, 2), heads=(2, 1), hidden=(12, 8),
        ffn=(16, 10), head_dim=4, example_length=6,
    )  # fmt: skip
    return DenasBert(**{**sizes, **changes})


class TestClasses(SpaceContract):
    @pytest.fixture
    def space(self):
        return small()


class TestTokenOutputs(SpaceContract):
    samples = 2

    @pytest.fixture
    def space(self):
        return small(num_classes=None, token_outputs=2, qkv=(8, 12))


class TestElastic(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return small()


class TestElasticTokenOutputs(SuperNetworkContract):
    samples = 2

    @pytest.fixture
    def space(self):
        return small(num_classes=None, token_outputs=2, qkv=(8, 12), token_types=1)


@pytest.mark.parametrize("qkv", [None, (8, 12)])
def test_the_variables_are_those_of_the_model(qkv):
    space = small(qkv=qkv)
    assert space.variables == space.supernet().plan.variables


# ---- known answers -----------------------------------------------------------------------------


def test_the_published_space():
    space = make("space", "denas_bert_published")
    assert space.variables == DenasBert().variables
    assert space.size == 9 * 5 * 41 * 93 == 171_585
    best, base = space.from_denas(PUBLISHED), space.from_denas((12, 12, 768, 768, 3072))
    assert base == space.largest
    found = space.costs([best, base])
    assert found["params_encoder"].tolist() == [75_810_816, 109_482_240]
    assert (found["params"] - found["params_encoder"]).tolist() == [2 * 737, 2 * 769]
    answers = DenasBert(token_outputs=2).costs([base])  # BertForQuestionAnswering has no pooler
    assert answers["params"].tolist() == [109_482_240 - 768 * 769 + 2 * 769]


def test_the_published_structure_has_so_many_parameters():
    space = DenasBert()
    with torch.device("meta"):
        network = space.build(space.from_denas(PUBLISHED))
    output = network.head.output
    assert isinstance(network, Bert) and output.weight.is_meta
    counted = sum(p.numel() for p in network.parameters())
    assert counted - sum(p.numel() for p in output.parameters()) == 75_810_816


def test_structures_of_denas_and_back():
    space = DenasBert()
    for arch in map(tuple, space.sample(50, np.random.default_rng(0)).tolist()):
        assert space.from_denas(space.to_denas(arch)) == arch
    assert space.to_denas(space.from_denas(PUBLISHED)) == PUBLISHED
    other = small(qkv=(8, 12))
    assert other.to_denas(other.from_denas([2, 1, 8, 12, 10])) == (2, 1, 8, 12, 10)


@pytest.mark.parametrize(
    ("call_", "message"),
    [
        (lambda: DenasBert().from_denas((1, 2)), "must be .*, five numbers, but got 2"),
        (lambda: DenasBert().from_denas((11, 11, 700, 736, 1824)), "11 heads, 704, but got 700"),
        (lambda: DenasBert().from_denas((3, 8, 512, 128, 128)), "layers"),
        (lambda: small(heads=(2, 2)), "heads must be distinct positive numbers"),
        (lambda: small(qkv=(9,)), "every one of heads must divide every one of qkv"),
        (lambda: small(qkv=(8,), pretrained="x"), "type space.qkv=null"),
        (lambda: small(token_outputs=2), "leave one out"),
        (lambda: call(small().build((0,) * 4), small(max_length=13, example_length=13)
                      .example_inputs(1)), "at most 12 tokens, the positions .*, but has 13"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(call_, message):
    with pytest.raises(NasplugError, match=message) as error:
        call_()
    assert "\n" not in str(error.value)


# ---- networks ----------------------------------------------------------------------------------


def shaken(space, seed=0):
    """A super-network whose every number is random."""
    with seeded(seed):
        network = space.supernet()
        for parameter in network.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval()


@torch.no_grad()
def test_padding_never_matters():
    space = small()
    network = shaken(space).extract(space.largest)
    inputs = space.example_inputs(2)
    padded = {name: functional.pad(x, (0, 4), value=0) for name, x in inputs.items()}
    padded["input_ids"][:, 6:] = 7
    torch.testing.assert_close(network(**padded), network(**inputs))
    wrong = {**padded, "attention_mask": torch.ones(2, 10, dtype=torch.int64)}
    assert (network(**wrong) - network(**inputs)).abs().max() > 1e-3


@torch.no_grad()
def test_types_and_positions_matter_and_may_be_left_out():
    space = small()
    network, inputs = shaken(space), space.example_inputs(1)
    one_text = {**inputs, "token_type_ids": torch.zeros(1, 6, dtype=torch.int64)}
    assert torch.equal(network(inputs["input_ids"]), network(**one_text))
    assert (network(**inputs) - network(**one_text)).abs().max() > 1e-3
    turned = {**one_text, "input_ids": inputs["input_ids"].roll(1, 1)}
    assert (network(**turned) - network(**one_text)).abs().max() > 1e-3


def test_fresh_weights_are_drawn_as_published():
    space = small(vocabulary=3000, hidden=(64,), initializer_range=0.05)
    with seeded(0):
        network = space.build(space.largest)
    network.requires_grad_(False)
    assert network.token_embedding.weight.std() == pytest.approx(0.05, rel=0.02)
    layer = network.encoder[0]
    assert layer.mlp.fc1.weight.std() == pytest.approx(0.05, rel=0.1)
    assert layer.mlp.fc1.bias.abs().max() == 0 and bool((layer.norms[0].weight == 1).all())


# ---- pretrained weights --------------------------------------------------------------------------


def bert_folder(folder, prefix="bert.", **changes):
    """A tiny BERT as Hugging Face saves one: hidden 16, heads 4 of 4, MLP 24, 3 layers."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(name, *shape):
        state[prefix + name] = torch.randn(*shape, generator=generator) * 0.3

    for name, rows in (("word", 30), ("position", 20), ("token_type", 2)):
        add(f"embeddings.{name}_embeddings.weight", rows, 16)
    linears = {"pooler.dense": (16, 16)}
    norms = ["embeddings.LayerNorm"]
    for i in range(3):
        at = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linears[f"{at}.attention.{part}"] = (16, 16)
        linears |= {f"{at}.intermediate.dense": (24, 16), f"{at}.output.dense": (16, 24)}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name, shape in linears.items():
        add(f"{name}.weight", *shape)
        add(f"{name}.bias", shape[0])
    for name in norms:
        for own in ("weight", "bias"):
            add(f"{name}.{own}", 16)
    state["cls.predictions.bias"] = torch.zeros(30)  # of a head that is not ours
    config = {
        "model_type": "bert",
        "hidden_size": 16,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
    }
    folder.mkdir(exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def from_pretrained(folder, **changes):
    sizes = dict(layers=(1, 2, 3), heads=(2, 4), hidden=(16, 8), ffn=(24, 12), dropout=0.0)
    return small(**{**sizes, "pretrained": str(folder), "max_length": 20, **changes})


def written_out(state, inputs, layers, heads, hidden, ffn):
    """The pooled first token by leading slices of `state`, in plain formulas."""
    d, q = hidden, heads * 4

    def linear(x, name, rows, columns):
        return x @ state[f"{name}.weight"][:rows, :columns].T + state[f"{name}.bias"][:rows]

    def norm(x, name):
        weight, bias = (state[f"{name}.{own}"][:d] for own in ("weight", "bias"))
        off = x - x.mean(-1, keepdim=True)
        return off / (off.square().mean(-1, keepdim=True) + 1e-12).sqrt() * weight + bias

    ids, types = inputs["input_ids"], inputs["token_type_ids"]
    tables = (
        state[f"embeddings.{n}_embeddings.weight"][:, :d]
        for n in ("word", "position", "token_type")
    )
    words, places, kinds = tables
    x = norm(words[ids] + places[: ids.shape[1]] + kinds[types], "embeddings.LayerNorm")
    for i in range(layers):
        at = f"encoder.layer.{i}"
        parts = [
            linear(x, f"{at}.attention.self.{part}", q, d).unflatten(-1, (heads, 4)).transpose(1, 2)
            for part in ("query", "key", "value")
        ]
        weights = (parts[0] @ parts[1].transpose(-1, -2) / 2).softmax(-1)
        mixed = (weights @ parts[2]).transpose(1, 2).flatten(2)
        mixed = linear(mixed, f"{at}.attention.output.dense", d, q)
        x = norm(x + mixed, f"{at}.attention.output.LayerNorm")
        inner = functional.gelu(linear(x, f"{at}.intermediate.dense", ffn, d))
        x = norm(x + linear(inner, f"{at}.output.dense", d, ffn), f"{at}.output.LayerNorm")
    return linear(x[:, 0], "pooler.dense", d, d).tanh()


def pooled(network):
    """Give what the pooler gives."""
    network.head.output = nn.Identity()
    return network.eval()


@pytest.mark.parametrize("prefix", ["bert.", ""])
@torch.no_grad()
def test_networks_begin_with_the_leading_part_of_pretrained_weights(tmp_path, prefix):
    state = bert_folder(tmp_path, prefix)
    space = from_pretrained(tmp_path)
    inputs, supernet = space.example_inputs(2), space.supernet().eval()
    for structure in ((3, 4, 16, 16, 24), (1, 2, 8, 8, 12), (2, 2, 8, 16, 12)):
        arch = space.from_denas(structure)
        layers, heads, _, hidden, ffn = structure
        expected = written_out(state, inputs, layers, heads, hidden, ffn)
        torch.testing.assert_close(pooled(space.build(arch))(**inputs), expected)
        torch.testing.assert_close(pooled(supernet.extract(arch))(**inputs), expected)


def test_heads_for_answers_and_files_without_a_pooler(tmp_path):
    bert_folder(tmp_path)
    space = from_pretrained(tmp_path, num_classes=None, token_outputs=2)
    first = space.build(space.largest).encoder[0].norms[1].weight
    state = bert_folder(tmp_path)
    assert torch.equal(first, state["encoder.layer.0.output.LayerNorm.weight"])
    names = {
        "bert." + re.sub("(?<=LayerNorm.)weight", "gamma", n.replace("Norm.bias", "Norm.beta")): t
        for n, t in state.items()
        if not n.startswith("pooler")
    }
    save_file(names, tmp_path / "model.safetensors")  # as early files are
    space = from_pretrained(tmp_path)
    with seeded(0):
        network = space.build(space.largest)
    assert torch.equal(network.encoder[0].norms[1].weight, first)
    assert network.head.pooler.weight.detach().std() == pytest.approx(0.02, rel=0.3)


def test_an_exported_network_needs_the_folder_no_more(tmp_path):
    from nasplug.toolkit.networks.weights import load_built, write_weights

    folder = tmp_path / "bert"
    bert_folder(folder)
    space = from_pretrained(folder)
    network = space.build(space.smallest).eval()
    write_weights(network, tmp_path / "weights.safetensors")
    for file in folder.iterdir():
        file.unlink()
    again = load_built(lambda: space.build(space.smallest), tmp_path / "weights.safetensors").eval()
    inputs = space.example_inputs(2)
    with torch.no_grad():
        assert torch.equal(again(**inputs), network(**inputs))


BAD = {
    "none": ({}, {}, "must be a folder with model.safetensors and config.json"),
    "another vocabulary": (
        {},
        {"vocabulary": 29},
        "must be that of the pretrained .* type task.voc",
    ),
    "too wide": (
        {},
        {"hidden": (32,)},
        "must be at least as large .* is \\(30, 16\\) and \\(30, 32\\)",
    ),
    "too deep": ({}, {"layers": (4,)}, "must have encoder.layer.3.* but it lacks it"),
    "too long": ({}, {"max_length": 21}, "lower the options of the space, or task.max_length"),
    "other heads": ({"num_attention_heads": 2}, {}, "type space.head_dim=8"),
    "another kind": ({"model_type": "gpt2"}, {}, "must be a BERT with gelu .* but is gpt2"),
    "another activation": ({"hidden_act": "relu"}, {}, "but is bert, relu, absolute"),
    "no numbers": ({"num_attention_heads": "4"}, {}, "must be the configuration of a BERT, but:"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_folder_that_does_not_fit_is_one_clear_line(tmp_path, case):
    config, changes, words = BAD[case]
    if case != "none":
        bert_folder(tmp_path, **config)
    space = from_pretrained(tmp_path, **changes)
    with pytest.raises(NasplugError, match=words) as caught:
        space.supernet()
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_one_clear_line(tmp_path):
    bert_folder(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(NasplugError, match=r"model.safetensors must be readable, but:"):
        from_pretrained(tmp_path).supernet()


# ---- with the task -------------------------------------------------------------------------------


def test_the_default_fits_its_task():
    task = make("task", "text", pairs=96, max_length=24)
    space = make("space", "denas_bert", **task.network_dimensions)
    network = space.build(space.smallest)
    batch = next(iter(task.train_batches(8, seed=0)))
    task.loss(network, batch).backward()
    assert all(p.grad is not None for p in network.parameters())
    assert set(task.quality(network.eval(), task.metrics)) == {"top1", "loss"}


def test_a_train_free_search(cli):
    """The experiment with few networks: scored by a proxy, never trained."""
    words = ("budget=4", "strategy.population=4", "task.pairs=96")
    status, out, err = cli("+experiment=denas_bert", *words, "run=here")
    assert status == 0, err
    assert "de_score" in out and "params" in out
