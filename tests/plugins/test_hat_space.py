"""The spaces `hat`, their networks and super-network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from nasplug_hat.layers import ScaledDropout, SinusoidalPositions
from nasplug_hat.space import Hat

from nasplug import NasplugError, make, seeded
from nasplug.testing import SpaceContract, SuperNetworkContract
from nasplug.toolkit.sequences.beam_search import beam_search
from nasplug.toolkit.sequences.encoder_decoder import EncoderDecoder

DATA = Path(__file__).parents[3] / "shared" / "data" / "hat"
PUBLISHED = DATA / "subtransformers.json"
needs_published = pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no {PUBLISHED}")
IWSLT = dict(
    shared_embeddings=False,
    encoder_ffn=(2048, 1024, 512),
    decoder_ffn=(2048, 1024, 512),
    encoder_heads=(4, 2),
    decoder_heads=(4, 2),
    cross_heads=(4, 2),
    source_length=23,
    target_length=23,
)


def small(**changes):
    sizes = dict(
        source_vocabulary=30,
        target_vocabulary=30,
        encoder_embedding=(16, 12),
        decoder_embedding=(16, 8),
        encoder_layers=(3, 2),
        decoder_layers=(2, 1),
        encoder_ffn=(24, 16),
        decoder_ffn=(24, 16),
        encoder_heads=(4, 2),
        decoder_heads=(4, 2),
        cross_heads=(4, 2),
        attended_layers=(1, 2),
        qkv=16,
        dropout=0.1,
        source_length=5,
        target_length=7,
    )
    return Hat(**{**sizes, **changes})


def tiny(**changes):
    """All of whose architectures can be listed."""
    return small(encoder_layers=(2,), encoder_heads=(2,), encoder_ffn=(16,), **changes)


class TestTiny(SpaceContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return tiny()


class TestThreeTables(SpaceContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small(shared_embeddings=False, target_vocabulary=20, pre_norm=True)


class TestDefault(SpaceContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return make("space", "hat")


class TestElastic(SuperNetworkContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small()


class TestElasticPreNorm(SuperNetworkContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small(shared_embeddings=False, target_vocabulary=20, pre_norm=True)


# ---- known answers -----------------------------------------------------------------------------


def test_the_published_spaces():
    wmt, iwslt = make("space", "hat_wmt14ende"), make("space", "hat_iwslt14deen")
    assert wmt.variables == Hat().variables and iwslt.variables == Hat(**IWSLT).variables
    assert len(wmt.variables) == 40
    ffn_and_heads = 3 * 2
    decoder_layer = 3 * 2 * 2 * 3
    by_hand = 2 * 2 * ffn_and_heads**6 * sum(decoder_layer**k for k in range(1, 7))
    assert wmt.size == iwslt.size == by_hand
    assert f"{by_hand:.3g}" == "4.18e+14"
    for space, largest, smallest in (
        (wmt, 70_900_992, 15_771_136),
        (iwslt, 55_160_064, 12_097_536),
    ):
        counted = space.costs([space.largest, space.smallest])["params"]
        assert counted.tolist() == [largest, smallest]


@needs_published
def test_published_subtransformers_cost_what_is_printed():
    found = json.loads(PUBLISHED.read_text())["subtransformers"]
    assert found
    for one in found:
        space = Hat(**IWSLT) if "iwslt" in one["name"] else Hat()
        arch = space.from_hat(one["config"])
        costs = {name: column[0] for name, column in space.costs([arch]).items()}
        assert costs["params"] == one["params"], one["name"]
        assert f"{costs['params'] / 1e6:.2f}" == f"{one['published']['params_M']:.2f}", one["name"]
        assert f"{costs['flops_hat'] / 1e9:.2f}" == f"{one['published']['flops_G']:.2f}"
        output = space.target_length * space.target_vocabulary * costs_width(space, arch)
        assert costs["macs"] - output == one["macs_formula"], one["name"]


def costs_width(space, arch):
    return space.config(arch)["decoder.embedding"]


# ---- notations ---------------------------------------------------------------------------------


def test_configurations_of_hat_and_back():
    space = Hat()
    for arch in map(tuple, space.sample(50, np.random.default_rng(0)).tolist()):
        assert space.from_hat(space.to_hat(arch)) == arch
        assert space.from_hat(yaml.safe_dump(space.to_hat(arch))) == arch
        assert space.from_dynas(space.to_dynas(arch)) == arch


def test_a_configuration_as_the_original_repository_writes_it():
    text = """
arch: transformersuper_wmt_en_de
share-all-embeddings: True
encoder-embed-dim-subtransformer: 640
decoder-embed-dim-subtransformer: 512
encoder-ffn-embed-dim-all-subtransformer: [3072, 2048, 3072, 2048, 1024, 3072]
decoder-ffn-embed-dim-all-subtransformer: [3072, 1024, 1024, 1024]
encoder-layer-num-subtransformer: 6
decoder-layer-num-subtransformer: 2
encoder-self-attention-heads-all-subtransformer: [8, 4, 8, 8, 4, 8]
decoder-self-attention-heads-all-subtransformer: [4, 8, 8, 8]
decoder-ende-attention-heads-all-subtransformer: [8, 4, 8, 8]
decoder-arbitrary-ende-attn-all-subtransformer: [-1, 2, 1, 1]
"""
    config = Hat().config(Hat().from_hat(text))
    assert config["encoder.embedding"] == 640 and config["decoder.layers"] == 2
    assert config["encoder.layer2.ffn"] == 2048 and config["encoder.layer5.heads"] == 4
    assert config["decoder.layer1.encoder_layers"] == 1
    assert config["decoder.layer2.encoder_layers"] == 3
    assert config["decoder.layer2.cross_attention.heads"] == 4
    assert "decoder.layer3.ffn" not in config


def test_genes_of_dynas():
    space = Hat()
    genes = [0, 1, *[2] * 6, *[1] * 6, 3, *[1] * 6, *[0] * 6, *[1] * 6, *[2] * 6]
    config = space.config(space.from_dynas(genes))
    assert (config["encoder.embedding"], config["decoder.embedding"]) == (640, 512)
    assert config["encoder.layer6.ffn"] == 1024 and config["decoder.layer3.ffn"] == 2048
    assert config["decoder.layers"] == 3 and config["encoder.layer1.heads"] == 4
    assert config["decoder.layer1.self_attention.heads"] == 8
    assert config["decoder.layer1.cross_attention.heads"] == 4
    assert config["decoder.layer3.encoder_layers"] == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.from_hat("a: ["), "must be YAML"),
        (lambda s: s.from_hat("[1]"), "must be a mapping"),
        (lambda s: s.from_hat({}), "must have encoder-embed-dim-subtransformer"),
        (
            lambda s: s.from_hat(
                {**s.to_hat(s.largest), "decoder-ffn-embed-dim-all-subtransformer": [1024]}
            ),
            "an entry for each of the 6 layers",
        ),
        (
            lambda s: s.from_hat({**s.to_hat(s.largest), "encoder-embed-dim-subtransformer": 500}),
            "must be one of",
        ),
        (lambda s: s.from_dynas([0]), "must have 39 genes, but got 1"),
        (lambda s: s.from_dynas([9] * 39), "must be 0 to 1, but got 9"),
        (lambda s: small().from_dynas([0] * 39), "take space=hat_wmt14ende"),
        (lambda s: Hat(qkv=510), "must divide qkv=510"),
        (lambda s: Hat(encoder_ffn=(8, 8)), "must be distinct"),
        (lambda s: Hat(attended_layers=(7,)), "space.attended_layers=\\[1, 2"),
        (lambda s: Hat(source_vocabulary=5, target_vocabulary=6), "task.joint=true"),
        (lambda s: Hat(encoder_embedding=(500,)).build(s.smallest), "one greatest width"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, message):
    with pytest.raises(NasplugError, match=message) as error:
        call(Hat())
    assert "\n" not in str(error.value)


# ---- networks ----------------------------------------------------------------------------------


def test_positions_of_a_narrow_network_are_the_leading_columns():
    positions = SinusoidalPositions(640)
    wide, narrow = (positions(torch.zeros(1, 3, d))[0] for d in (640, 512))
    assert torch.equal(wide[:, :512], narrow)
    place, steps = torch.arange(2.0, 5)[:, None], torch.arange(320)
    expected = place * 10_000 ** (-steps / 319)
    torch.testing.assert_close(wide[:, :320], expected.sin(), atol=1e-5, rtol=0)
    torch.testing.assert_close(wide[:, 320:], expected.cos(), atol=1e-5, rtol=0)
    assert torch.equal(positions(torch.zeros(1, 2, 640), start=1)[0], wide[1:])


def test_dropout_is_in_proportion_to_the_width():
    dropout = ScaledDropout(0.4, 1000)
    with seeded(0):
        rates = [(dropout(torch.ones(200, w)) == 0).float().mean() for w in (1000, 500)]
    assert rates[0] == pytest.approx(0.4, abs=0.01) and rates[1] == pytest.approx(0.2, abs=0.01)


@pytest.fixture(scope="module")
def trained():
    """A super-network with weights that say something about every token."""
    with seeded(3):
        network = small().supernet()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def archs(space, n):
    drawn = space.sample(n, np.random.default_rng(2)).tolist()
    return [space.largest, space.smallest, *map(tuple, drawn)]


@torch.no_grad()
def test_fifty_extracted_networks_give_the_same_logits(trained):
    space = small()
    source, target = space.example_inputs(3)
    for arch in archs(space, 50):
        trained.activate(arch)
        alone = trained.extract(arch).eval()
        assert (trained(source, target) - alone(source, target)).abs().max() < 1e-5


@torch.no_grad()
def test_fifty_extracted_networks_translate_alike(trained):
    """The extracted ones with a cache, the super-network's active ones without."""
    space = small()
    source, _ = space.example_inputs(3)
    source[1, 3:] = 0
    for arch in archs(space, 50):
        trained.activate(arch)
        alone = trained.extract(arch).eval()
        assert isinstance(alone, EncoderDecoder) and not isinstance(trained, EncoderDecoder)
        written = beam_search(alone, source, beam=2, max_length=6)
        assert written == beam_search(trained, source, beam=2, max_length=6)


@torch.no_grad()
def test_padding_never_matters(trained):
    space = small()
    source, target = space.example_inputs(2)
    for arch in archs(space, 5):
        network = trained.extract(arch).eval()
        padded = torch.cat([source, torch.zeros(2, 4, dtype=torch.int64)], 1)
        longer = torch.cat([target, torch.zeros(2, 3, dtype=torch.int64)], 1)
        expected = network(source, target)
        found = network(padded, longer)[:, : target.shape[1]]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(source[:1], target[:1])[0], expected[0])


@torch.no_grad()
def test_decoding_token_by_token_equals_the_whole(trained):
    """Three hypotheses of each of two sentences, one of them padded."""
    space = small()
    source, _ = space.example_inputs(2)
    source[1, 3:] = 0
    targets = torch.randint(1, 30, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    for arch in archs(space, 5):
        network = trained.extract(arch).eval()
        memory, cache, found = network.encode(source), None, []
        for t in range(6):
            logits, cache = network.decode(targets[:, :, t], memory, cache)
            found.append(logits)
        for k in range(3):
            expected = network(source, targets[:, k])
            together = torch.stack(found, 2)[:, k]
            torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)


def test_no_token_sees_later_ones(trained):
    space = small()
    network = trained.extract(space.largest).eval()
    source, target = space.example_inputs(1)
    changed = target.clone()
    changed[:, 4] = 29
    with torch.no_grad():
        one, other = network(source, target), network(source, changed)
    assert torch.equal(one[:, :4], other[:, :4]) and not torch.equal(one[:, 4], other[:, 4])


def test_attention_to_the_encoder_is_what_the_variable_says(trained):
    """With one encoder layer attended, the outputs of the one before it reach nothing but it."""
    space = small()
    config = {**space.config(space.largest), "decoder.layers": 1}
    one, two = (
        trained.extract(space.arch({**config, "decoder.layer1.encoder_layers": k})).eval()
        for k in (1, 2)
    )
    source, _ = space.example_inputs(2)
    source[1, 3:] = 0
    (keys, values, hidden), (more_keys, more_values, more_hidden) = (
        n.encode(source)[0] for n in (one, two)
    )
    assert keys.shape[2] == 5 and more_keys.shape[2] == more_values.shape[2] == 10
    assert torch.equal(more_keys[:, :, :5], keys) and torch.equal(more_values[:, :, :5], values)
    assert more_hidden.tolist() == torch.cat([hidden, hidden], 1).tolist()
    assert hidden.tolist() == (source == 0).tolist()


def test_only_active_slices_get_gradients(trained):
    space = small()
    network = space.supernet().train()
    network.activate(space.smallest)
    logits = network(*space.example_inputs(2))
    (logits * torch.linspace(0.5, 1.5, logits.numel()).view_as(logits)).sum().backward()
    first = network.model.encoder[0]
    width, ffn = 12, 16
    for weight, rows, columns in (
        (first.mlp.fc1.weight, ffn, width),
        (first.mlp.fc2.weight, width, ffn),
        (network.model.target_embedding.weight, 30, 12),
    ):
        used = torch.zeros_like(weight, dtype=torch.bool)
        used[:rows, :columns] = True
        assert (weight.grad[~used] == 0).all() and (weight.grad[used] != 0).float().mean() > 0.5
    left_out = network.model.decoder._modules["1"].mlp.fc1.weight.grad
    assert left_out is None or (left_out == 0).all()


def test_fresh_weights_are_drawn_as_published():
    space = Hat(source_vocabulary=2000, target_vocabulary=2000, encoder_layers=(3,))
    with seeded(0):
        network = space.supernet().model.requires_grad_(False)
    embedding = network.target_embedding.weight
    assert embedding[0].abs().max() == 0
    assert embedding[1:].std() == pytest.approx(640**-0.5, rel=0.01)
    attention = network.decoder[0].cross_attention
    for weight in (attention.q_proj.weight, network.encoder[0].self_attention.in_proj.weight):
        bound = (6 / (640 + 3 * 512)) ** 0.5
        assert weight.abs().max() == pytest.approx(bound, rel=0.01)
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert network.encoder[0].mlp.fc1.bias.abs().max() == 0


def test_a_timed_run_translates():
    space = small()
    network, calls = space.build(space.smallest).eval(), []
    plain = network.decode
    network.decode = lambda *given: calls.append(given[0].shape) or plain(*given)
    with torch.inference_mode():
        space.timed(network, space.example_inputs(1))
    assert calls == [(1, 5)] * 7
