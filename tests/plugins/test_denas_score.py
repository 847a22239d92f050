"""The parts of the DE-Score by their definitions: closed forms, independent computations, and what
the original got wrong."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from denas_nets import IMAGE, INPUT, KINDS, TOKENS, attempt, made, score
from nasplug_denas.score.diversity import Diversity
from nasplug_denas.score.expressivity import Expressivity
from nasplug_denas.score.ntk import NtkCondition
from nasplug_denas.score.saliency import Saliency
from torch import nn

import nasplug
from nasplug import Failure, seeded
from nasplug.testing import ProxyContract, ToySpace

PARTS = {
    "expressivity": Expressivity,
    "ntk": NtkCondition,
    "diversity": Diversity,
    "saliency": Saliency,
}


@pytest.mark.parametrize("name", PARTS, scope="class")
class TestParts(ProxyContract):
    @pytest.fixture
    def proxy(self, name):
        return PARTS[name]()


# ---- degeneracy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PARTS)
def test_single_and_double_precision_agree_in_every_domain(name, kind):
    double, model = PARTS[name](), made(kind, depth=3)
    single = copy.copy(double)
    single.double = False
    scores = [score(proxy, model, INPUT[kind]) for proxy in (single, double)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)
    assert scores[0] != scores[1]


def test_the_sum_of_a_layer_norm_is_round_off_and_a_projection_is_not():
    """As DE-NAS's speech score was."""
    model = made("asr")
    sums = [score(Diversity(readout=how), model, INPUT["asr"]) for how in ("sum", "projection")]
    assert sums[0] < -25 < 0 < sums[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PARTS)
def test_a_score_repeats_and_seeds_change_it_little(name, kind):
    proxy, model, larger = PARTS[name](), made(kind), made(kind, depth=4, width=16)
    seeds = [score(proxy, model, INPUT[kind], seed=s) for s in range(3)]
    assert score(proxy, model, INPUT[kind], seed=1) == seeds[1]
    assert len(set(seeds)) == 3
    spread = np.std(seeds, ddof=1)
    if name in ("expressivity", "diversity"):
        apart = abs(score(proxy, larger, INPUT[kind]) - np.mean(seeds))
        assert spread < max(0.1 * abs(np.mean(seeds)), 0.5 * apart)
    assert spread < (1.5 if name == "ntk" else 0.75)  # of logarithms; small networks of 8 channels


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((n, k) for n in ("expressivity", "diversity") for k in KINDS), ("saliency", "cnn")],
)
def test_larger_networks_score_higher(name, kind):
    small, large = (made(kind, width=w) for w in (8, 32))
    scores = [score(PARTS[name](), m, INPUT[kind]) for m in (small, large)]
    assert scores[0] < scores[1]


@pytest.mark.parametrize("name", PARTS)
def test_weights_that_are_not_sampled_have_no_influence(name):
    space = ToySpace()
    with seeded(0):
        supernet = space.supernet()
    scores = []
    for factor in (1, 10):
        with torch.no_grad():
            for linear in list(supernet.linears)[1:]:
                linear.weight[4:] *= factor
                linear.weight[:, 4:] *= factor
            supernet.linears[0].weight[4:] *= factor
            supernet.head.weight[:, 4:] *= factor
        arch = space.arch({"depth": 2, "width1": 4, "width2": 4})
        scores.append(score(PARTS[name](), supernet.extract(arch), torch.zeros(6)))
    assert scores[0] == scores[1]


def test_tokens_are_moved_and_drawn_where_they_are_embedded():
    """The same token in every place: all there is to tell examples apart is drawn."""
    same = torch.ones(6, dtype=torch.int64)
    for name in ("ntk", "expressivity"):
        proxy = PARTS[name]()
        assert score(proxy, made("bert"), same) == score(proxy, made("bert"), TOKENS)


def test_an_embedding_is_moved_in_proportion_to_its_table():
    """Before a layer norm, whatever the table's scale, the change is the same."""
    scores = []
    for factor in (1, 10):
        with seeded(0):
            model = nn.Sequential(nn.Embedding(11, 8), nn.LayerNorm(8), nn.Linear(8, 2))
        with torch.no_grad():
            model[0].weight *= factor
        scores.append(score(Expressivity(weights="own"), model, TOKENS))
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


class Unembedded(nn.Module):
    """Integers that are neither embedded nor real."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, ids):
        return self.head(ids.to(self.head.weight.dtype))


@pytest.mark.parametrize("name", PARTS)
def test_integers_that_are_not_embedded_are_refused(name):
    found = attempt(PARTS[name](), Unembedded(), TOKENS)
    assert isinstance(found, Failure)
    assert "embed an integer input" in found.error


# ---- expressivity --------------------------------------------------------------------------------


def test_expressivity_of_a_1x1_convolution_in_closed_form():
    """E|N(0, s^2)| = s sqrt(2 / pi), s = alpha sqrt(inputs)."""
    model = nn.Sequential(
        nn.Conv2d(64, 5, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)
    )
    values = [score(Expressivity(), model, torch.zeros(64, 4, 6), seed=s) for s in range(12)]
    expected = 0.01 * 5 * 4 * 6 * math.sqrt(2 * 64 / math.pi)
    assert np.mean(np.exp(values)) == pytest.approx(expected, rel=0.04)


def test_batch_norm_hides_a_convolutions_scale_and_the_term_puts_it_back():
    model = made("cnn")
    plain, whole = Expressivity(batch_norm_term=False, weights="own"), Expressivity(weights="own")
    before = [score(p, model, IMAGE) for p in (plain, whole)]
    with torch.no_grad():
        model[3].weight *= 100
    after = [score(p, model, IMAGE) for p in (plain, whole)]
    assert after[0] == pytest.approx(before[0], abs=0.01)
    assert after[1] == pytest.approx(before[1] + math.log(100), abs=0.02)


def test_expressivity_of_convolutions_does_not_depend_on_their_own_weights():
    assert score(Expressivity(), made("cnn"), IMAGE) == score(Expressivity(), made("cnn", 1), IMAGE)
    assert score(Expressivity(), made("vit"), IMAGE) != score(Expressivity(), made("vit", 1), IMAGE)


def test_the_tokens_of_a_transformer_are_those_before_its_last_norm():
    """By hooks; weights are the network's own."""
    model, seen = made("vit").double().eval(), []
    hook = model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    draws = torch.Generator().manual_seed(5)
    x, step = (torch.randn(512, 3, 8, 8, generator=draws).double() for _ in range(2))
    model(x), model(x + 0.01 * step)
    hook.remove()
    expected = (seen[0] - seen[1]).abs().flatten(1).sum(1).mean().log()
    values = [score(Expressivity(), model.float(), IMAGE, seed=s) for s in range(6)]
    assert np.mean(values) == pytest.approx(float(expected), abs=0.1)


# ---- the neural tangent kernel -------------------------------------------------------------------


class Fixed(nasplug.testing.ToyTask):
    """Given rows as data."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def train_batches(self, batch_size, seed, epoch=0):
        yield self.rows[:batch_size], torch.zeros(batch_size, dtype=torch.int64)


def condition(rows, model=None, **changes):
    rows = torch.as_tensor(np.asarray(rows), dtype=torch.float32)
    model = model or nn.Linear(rows.shape[1], 1, bias=False)
    proxy = NtkCondition(samples=len(rows), input="data", **changes)
    return attempt(proxy, model, rows[0], task=Fixed(rows))


def test_the_kernel_of_a_linear_model_is_the_gram_matrix_of_its_inputs():
    x = np.random.default_rng(0).normal(size=(5, 9))
    expected = -math.log(np.linalg.cond(x) ** 2)
    assert condition(x) == pytest.approx(expected, rel=1e-5)
    assert condition(x[[3, 1, 4, 0, 2]]) == pytest.approx(expected, rel=1e-5)
    assert condition(x, readout="sum") == pytest.approx(expected, rel=1e-5)


def test_orthonormal_inputs_are_perfect_and_repeated_ones_have_no_score():
    assert condition(np.eye(6)[:4]) == pytest.approx(0, abs=1e-9)
    twice = condition(np.eye(6)[[0, 1, 1]])
    assert isinstance(twice, Failure)
    assert "finite" in twice.error


def test_batch_norm_is_frozen():
    """With frozen batch norm the network is linear, and its kernel known from standardised inputs."""
    x = np.random.default_rng(0).normal(2, 3, size=(5, 9)).astype(np.float32)
    model = nn.Sequential(nn.BatchNorm1d(9), nn.Linear(9, 1, bias=False))
    rows = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    got = condition(x[:5], model)
    values = np.linalg.eigvalsh((rows @ rows.T).astype(float))
    # standardised rows sum to zero: the kernel is singular
    assert values[0] < 1e-4
    assert isinstance(got, Failure) or got < -12


# ---- diversity -----------------------------------------------------------------------------------


def test_diversity_of_one_linear_layer_in_closed_form():
    """dR/dW of R = sum(W x) is 1 x^T, whose nuclear norm is sqrt(outputs) |x|."""
    model = nn.Linear(7, 5)
    x = torch.linspace(1, 2, 7)
    proxy = Diversity(samples=1, input="data", readout="sum", log=False)
    got = score(proxy, model, x, task=Fixed(x[None]))
    singular = np.linalg.svd(model.weight.detach().double().numpy(), compute_uv=False).sum()
    assert got == pytest.approx(singular * math.sqrt(5) * float(x.norm()), rel=1e-6)


def test_diversity_does_not_change_by_a_rotation_and_grows_with_a_factor():
    with seeded(3):
        turn = torch.linalg.qr(torch.randn(5, 5)).Q
    model, x = nn.Linear(7, 5), torch.ones(7)
    turned = copy.deepcopy(model)
    with torch.no_grad():
        turned.weight.copy_(turn @ model.weight)
    proxy = Diversity(log=False)
    one = score(proxy, model, x)
    assert score(proxy, turned, x) == pytest.approx(one, rel=1e-5)
    with torch.no_grad():
        model.weight *= 3
    assert score(proxy, model, x) == pytest.approx(3 * one, rel=1e-5)


def test_the_nuclear_norm_sees_the_rank_and_frobenius_does_not():
    model, x = nn.Linear(6, 6, bias=False), torch.ones(6)
    scores = {}
    for rank in (1, 6):
        with torch.no_grad():
            model.weight.copy_(torch.diag(torch.tensor([1.0] * rank + [0.0] * (6 - rank))))
            model.weight /= model.weight.norm()
        for norm in ("nuclear", "frobenius"):
            scores[rank, norm] = score(Diversity(norm=norm, log=False), model, x)
    assert scores[6, "frobenius"] == pytest.approx(scores[1, "frobenius"], rel=1e-5)
    assert scores[1, "nuclear"] == pytest.approx(
        scores[1, "frobenius"], rel=1e-5
    )  # gradient: rank 1
    assert scores[6, "nuclear"] == pytest.approx(math.sqrt(6) * scores[1, "nuclear"], rel=1e-5)


def test_diversity_of_a_transformer_is_the_sum_over_its_attention_layers_alone():
    model = made("vit")
    whole = score(Diversity(log=False), model, IMAGE)
    with torch.no_grad():
        model.blocks[0].attention.out_proj.weight.zero_()
    assert 0 < score(Diversity(log=False), model, IMAGE) < whole
    everything = score(Diversity(log=False, layers="all"), made("vit"), IMAGE)
    assert everything > whole


# ---- saliency ------------------------------------------------------------------------------------


def chain(*widths):
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
    return nn.Sequential(*layers)


def test_saliency_of_a_chain_is_the_flow_over_the_outputs_of_each_layer():
    model = chain(5, 7, 4, 3)
    flow = torch.ones(5, dtype=torch.float64)
    for layer in model[::2]:
        flow = layer.weight.detach().double().abs() @ flow
    total = float(flow.sum())
    got = score(Saliency(input="ones", readout="sum", log=False), model, torch.zeros(5))
    assert got == pytest.approx(total * (1 / 7 + 1 / 4 + 1 / 3), rel=1e-10)


def test_saliency_ignores_signs_and_batch_norm_and_scales_with_a_layer():
    model = made("cnn")
    proxy = Saliency(log=False)
    before = score(proxy, model, IMAGE)
    with torch.no_grad():
        model[0].weight.neg_()
        model[1].weight.mul_(3)
        model[1].running_var.fill_(7)
        model[-1].bias.zero_()
    assert score(proxy, model, IMAGE) == before
    model = chain(4, 6, 3)
    one = score(proxy, model, torch.zeros(4))
    with torch.no_grad():
        model[0].weight.mul_(5)
    assert score(proxy, model, torch.zeros(4)) == pytest.approx(5 * one, rel=1e-6)


def test_saliency_of_a_deep_network_of_large_weights_is_finite():
    model = chain(*[8] * 51)
    with torch.no_grad(), seeded(0):
        for layer in model[::2]:
            layer.weight.normal_()
    assert 50 < score(Saliency(), model, torch.zeros(8)) < 200


def test_a_feed_forward_layer_counts_once():
    """DE-NAS counted those of its ViT twice: the sum of two halves is the whole."""
    model = made("vit")
    both = score(Saliency(log=False), model, IMAGE)
    everything = score(Saliency(log=False, layers="all"), model, IMAGE)
    attention = score(Saliency(log=False, layers="attention"), model, IMAGE)
    assert both < everything
    others = everything - both - attention
    assert 0 < others < everything
