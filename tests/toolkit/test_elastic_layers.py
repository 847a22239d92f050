"""Every layer of the family keeps the same promises."""

import copy
import pickle
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, seeded
from nasplug.elastic import (
    Elastic,
    ElasticBatchNorm1d,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticEmbedding,
    ElasticGatedMLP,
    ElasticGroupNorm,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticMLP,
    ElasticMultiheadAttention,
    ElasticRelativeBias,
    ElasticRelativeEmbedding,
    ElasticResidual,
    ElasticRMSNorm,
    ElasticSequential,
    ElasticSqueezeExcite,
    concat,
    extract,
)
from nasplug.toolkit.networks.counting import multiply_adds, parameters


def images(width):
    return lambda: (torch.randn(2, width, 9, 9),)


def tokens(width, length=7):
    return lambda: (torch.randn(2, length, width),)


def cross(width, memory):
    def make():
        padding = torch.arange(5)[None] >= torch.tensor([5, 3])[:, None]
        return torch.randn(2, 7, width), torch.randn(2, 5, memory), padding

    return make


def rows():
    return (torch.randint(0, 11, (2, 7)),)


bias = partial(ElasticRelativeBias, max_distance=3)
vectors = partial(ElasticRelativeEmbedding, max_distance=3)

CASES = {
    "conv": (lambda: ElasticConv2d(8, 12, 3, stride=2), {"in_channels": 4, "out_channels": 6}, images(4)),
    "conv_kernel": (lambda: ElasticConv2d(8, 12, 7), {"out_channels": 6, "kernel_size": 3}, images(8)),
    "conv_dilated": (lambda: ElasticConv2d(8, 8, 5, dilation=2), {"kernel_size": 3}, images(8)),
    "conv_padded": (lambda: ElasticConv2d(8, 8, 5, padding=1), {"kernel_size": 3}, images(8)),
    "conv_grouped": (
        lambda: ElasticConv2d(8, 16, 3, groups=4), {"in_channels": 4, "out_channels": 8}, images(4),
    ),
    "conv_joined": (
        lambda: ElasticConv2d(concat(4, 8), 6), {"in_channels": (2, 5), "out_channels": 3}, images(7),
    ),
    "depthwise": (lambda: ElasticDepthwiseConv2d(8, 7, 2), {"channels": 4, "kernel_size": 3}, images(4)),
    "depthwise_cropped": (
        lambda: ElasticDepthwiseConv2d(8, 5, transform=False), {"channels": 4, "kernel_size": 1}, images(4),
    ),
    "linear": (lambda: ElasticLinear(8, 12), {"in_features": 5, "out_features": 7}, tokens(5)),
    "linear_no_bias": (lambda: ElasticLinear(8, 12, bias=False), {"out_features": 7}, tokens(8)),
    "linear_joined": (
        lambda: ElasticLinear(concat(4, 6), concat(3, 3)),
        {"in_features": (2, 5), "out_features": (1, 2)}, tokens(7),
    ),
    "linear_gain": (
        lambda: ElasticLinear(concat(4, 6), 5, gain=lambda w: (w[0] ** -0.5, 1.0)),
        {"in_features": (2, 5)}, tokens(7),
    ),
    "embedding": (lambda: ElasticEmbedding(11, 8), {"embedding_dim": 5}, rows),
    "batch_norm": (lambda: ElasticBatchNorm2d(8), {"num_features": 5}, images(5)),
    "batch_norm_joined": (lambda: ElasticBatchNorm2d(concat(4, 4)), {"num_features": (2, 3)}, images(5)),
    "batch_norm_1d": (
        lambda: ElasticBatchNorm1d(8), {"num_features": 5}, lambda: (torch.randn(6, 5),),
    ),
    "layer_norm": (lambda: ElasticLayerNorm(8), {"normalized_shape": 5}, tokens(5)),
    "layer_norm_no_bias": (lambda: ElasticLayerNorm(8, bias=False), {"normalized_shape": 5}, tokens(5)),
    "group_norm": (lambda: ElasticGroupNorm(4, 8), {"num_groups": 2, "num_channels": 6}, images(6)),
    "rms_norm": (lambda: ElasticRMSNorm(8), {"normalized_shape": 5}, tokens(5)),
    "squeeze_excite": (lambda: ElasticSqueezeExcite(64), {"channels": 32}, images(32)),
    "attention": (
        lambda: ElasticMultiheadAttention(8, 4), {"embed_dim": 6, "num_heads": 2, "qkv_dim": 6}, tokens(6),
    ),
    "attention_resplit": (lambda: ElasticMultiheadAttention(8, 4), {"num_heads": 2}, tokens(8)),
    "attention_heads": (
        lambda: ElasticMultiheadAttention(8, 4, head_dim=3), {"embed_dim": 6, "num_heads": 3}, tokens(6),
    ),
    "attention_fused": (
        lambda: ElasticMultiheadAttention(8, 4, head_dim=3, fused=True),
        {"embed_dim": 6, "num_heads": 2}, tokens(6),
    ),
    "attention_cross": (
        lambda: ElasticMultiheadAttention(8, 4, kv_dim=10, qkv_dim=16),
        {"embed_dim": 6, "num_heads": 2, "kv_dim": 5}, cross(6, 5),
    ),
    "attention_bias": (
        lambda: ElasticMultiheadAttention(8, 4, head_dim=3, relative=bias), {"num_heads": 2}, tokens(8),
    ),
    "attention_vectors": (
        lambda: ElasticMultiheadAttention(8, 4, qkv_dim=12, relative=vectors),
        {"num_heads": 2, "qkv_dim": 4}, tokens(8),
    ),
    "mlp": (lambda: ElasticMLP(8, 16), {"features": 6, "hidden_features": 10}, tokens(6)),
    "gated_mlp": (lambda: ElasticGatedMLP(8, 16), {"features": 6, "hidden_features": 10}, tokens(6)),
    "sequential": (
        lambda: ElasticSequential(*(nn.Linear(8, 8) for _ in range(3))), {"depth": 2}, tokens(8),
    ),
    "residual": (lambda: ElasticResidual(nn.Linear(8, 8)), {"active": False}, tokens(8)),
}  # fmt: skip
FULL = {  # inputs at full size, where they differ
    "conv": images(8), "conv_grouped": images(8), "conv_joined": images(12), "depthwise": images(8),
    "depthwise_cropped": images(8), "linear": tokens(8), "linear_joined": tokens(10),
    "linear_gain": tokens(10), "batch_norm": images(8), "batch_norm_joined": images(8),
    "batch_norm_1d": lambda: (torch.randn(6, 8),), "layer_norm": tokens(8),
    "layer_norm_no_bias": tokens(8), "group_norm": images(8), "rms_norm": tokens(8),
    "squeeze_excite": images(64), "attention": tokens(8), "attention_heads": tokens(8),
    "attention_fused": tokens(8), "attention_cross": cross(8, 10), "mlp": tokens(8),
    "gated_mlp": tokens(8),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    """A layer whose every number is random, its active sizes, and inputs for them."""
    make, sizes, inputs = CASES[request.param]
    with seeded(0):
        layer = make().double()
        for name, tensor in layer.state_dict().items():
            if tensor.is_floating_point():
                low = 0.5 if "var" in name else -0.5
                tensor.uniform_(low, 1.0)
        x = tuple(t.double() if t.is_floating_point() else t for t in inputs())
    return layer.eval(), sizes, x


def test_forward_equals_the_extracted_layers(case):
    layer, sizes, x = case
    layer.activate(**sizes)
    plain = layer.extract()
    assert not any(isinstance(module, Elastic) for module in plain.modules())
    assert (layer(*x) - plain(*x)).abs().max() < 1e-6
    owned = {t.untyped_storage().data_ptr() for t in layer.state_dict().values()}
    assert not owned & {t.untyped_storage().data_ptr() for t in plain.state_dict().values()}


def test_extracted_is_the_plain_class(case):
    layer, sizes, _ = case
    layer.activate(**sizes)
    expected = nn.Linear if sizes == {"depth": 2} else layer.KIND
    if sizes == {"active": False}:
        expected = nn.Identity
    plain = layer.extract()
    assert type(plain[0] if sizes == {"depth": 2} else plain) is expected
    assert str(plain) == str(copy.deepcopy(plain))


@pytest.mark.parametrize("name", CASES)
def test_full_size_is_the_plain_layer(name):
    """Omitted sizes are full, and then the layer is torch's own with the same state dict."""
    make, sizes, inputs = CASES[name]
    with seeded(1):
        layer = make().eval()
        x = FULL.get(name, inputs)()
    before = layer(*x)
    layer.activate(**sizes)
    layer.activate()
    assert torch.equal(layer(*x), before)
    plain = layer.extract()
    assert torch.equal(plain(*x), before)
    if "gain" not in name:  # extracted with the scale at which it is used
        kept = {k: v for k, v in layer.state_dict().items() if not k.endswith("_matrix")}
        plain.load_state_dict(kept)
        assert torch.equal(plain(*x), before)


def test_gradients_reach_the_active_slice_alone(case):
    layer, sizes, x = case
    layer.activate(**sizes)
    outputs = layer(*x)
    with seeded(2):
        (outputs * torch.randn_like(outputs)).sum().backward() if outputs.requires_grad else None
    reached = {n: p.grad for n, p in layer.named_parameters() if p.grad is not None}
    with torch.no_grad(), seeded(3):
        for name, parameter in layer.named_parameters():
            inactive = (
                reached[name] == 0 if name in reached else torch.ones_like(parameter, dtype=bool)
            )
            parameter.add_(inactive * torch.randn_like(parameter) * 1e-3)  # no dead unit awakes
    torch.testing.assert_close(layer(*x), outputs)
    active = sum(int((grad != 0).sum()) for n, grad in reached.items() if not n.endswith("_matrix"))
    unused = 0
    plain = layer.extract()
    if isinstance(layer, ElasticEmbedding):  # rows that were not looked up
        unused = (11 - len(x[0].unique())) * 5
    if isinstance(layer, ElasticSqueezeExcite | ElasticMultiheadAttention):
        assert 0 < active <= parameters(plain)  # dead units; a key's bias moves no softmax
    elif isinstance(layer, ElasticDepthwiseConv2d):
        assert active == 4 * (25 if layer.transform else 1)  # the matrix mixes all of the centre
    else:
        assert active == parameters(plain) - unused


def test_activating_and_extracting_move_nothing(case):
    layer, sizes, _ = case
    before = copy.deepcopy(layer.state_dict())
    layer.activate(**sizes)
    layer.extract()
    layer.activate()
    assert all(torch.equal(before[k], v) for k, v in layer.state_dict().items())


def test_costs_are_those_of_the_extracted_layer(case):
    """Of leaves: composites are counted layer by layer."""
    layer, sizes, x = case
    layer.activate(**sizes)
    plain = layer.extract()
    if not layer.axes:
        return
    active = {name: width for name, width in layer.full} | sizes
    active = {n: sum(w) if isinstance(w, tuple) else w for n, w in active.items()}
    own = [n for n, _ in layer.axes if n in layer._parameters and getattr(layer, n) is not None]
    assert sum(layer.numel(name, active) for name in own) == parameters(plain)
    one = tuple(t[:1] for t in x)
    macs = layer.macs(active, layer.positions(one, {}, layer(*one)))
    assert macs == multiply_adds(plain, one)


def test_compiles_and_exports(case):
    layer, sizes, x = case
    layer.activate(**sizes)
    expected = layer(*x)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*x), expected)
    exported = torch.export.export(layer, x).module()
    torch.testing.assert_close(exported(*x), expected)


def test_copies(case):
    layer, sizes, x = case
    layer.activate(**sizes)
    for other in (copy.deepcopy(layer), *_pickled(layer)):
        assert torch.equal(other(*x), layer(*x))


def _pickled(layer):
    if isinstance(layer, ElasticLinear) and layer.gain:
        return []  # a lambda
    return [pickle.loads(pickle.dumps(layer))]


@pytest.mark.parametrize("kind", [ElasticBatchNorm1d, ElasticBatchNorm2d])
@pytest.mark.parametrize("knobs", [{"affine": False}, {"track_running_stats": False}])
def test_batch_norms_without_weights_or_statistics(kind, knobs):
    layer = kind(8, **knobs)
    layer.activate(5)
    x = torch.randn(6, 5) if kind is ElasticBatchNorm1d else torch.randn(6, 5, 2, 2)
    plain = layer.extract()
    torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(layer.eval()(x), plain.eval()(x))


def test_tied_weights_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = ElasticEmbedding(11, 8), ElasticLinear(8, 11, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x):
            return self.out(self.embed(x))

    model = Tied()
    model.embed.activate(5)
    model.out.activate(5)
    plain = extract(model)
    assert plain.out.weight is plain.embed.weight and parameters(plain) == 55
    (x,) = rows()
    torch.testing.assert_close(plain(x), model(x))
    model.out.activate(6)
    apart = extract(model)
    assert apart.out.weight is not apart.embed.weight


@pytest.mark.parametrize("relative", [None, bias, vectors])
@pytest.mark.parametrize("fused", [False, True])
def test_a_decoder_with_a_cache_gives_what_one_pass_does(relative, fused):
    with seeded(0):
        layer = ElasticMultiheadAttention(8, 4, head_dim=4, fused=fused, relative=relative).eval()
        layer.activate(6, 2)
        (x,) = tokens(6)()
    expected = layer(x, is_causal=True)
    keys = values = None
    for place in range(7):
        q, k, v = layer.project(x[:, place : place + 1])
        keys = k if keys is None else torch.cat([keys, k], 2)
        values = v if values is None else torch.cat([values, v], 2)
        torch.testing.assert_close(layer.attend(q, keys, values), expected[:, place : place + 1])


def test_attention_is_torchs_own():
    with seeded(0):
        layer = ElasticMultiheadAttention(8, 4).eval()
        theirs = nn.MultiheadAttention(8, 4, batch_first=True).eval()
        x, memory, padding = cross(8, 8)()
    state = layer.state_dict()
    theirs.in_proj_weight.data = torch.cat([state[f"{n}_proj.weight"] for n in "qkv"])
    theirs.in_proj_bias.data = torch.cat([state[f"{n}_proj.bias"] for n in "qkv"])
    theirs.out_proj.load_state_dict(layer.out_proj.state_dict())
    ahead = torch.ones(7, 5, dtype=torch.bool).triu(2)
    for mask in (None, ahead):
        expected = theirs(x, memory, memory, key_padding_mask=padding, attn_mask=mask)[0]
        torch.testing.assert_close(layer(x, memory, padding, mask), expected)


@pytest.mark.parametrize("relative", [bias, vectors])
def test_relative_positions_by_hand(relative):
    with seeded(0):
        layer = ElasticMultiheadAttention(8, 2, relative=relative).eval().double()
        for parameter in layer.relative.parameters():
            nn.init.normal_(parameter)
        x = tokens(8)()[0].double()
    q, k, v = layer.project(x)
    expected = torch.zeros(2, 2, 7, 4, dtype=torch.double)
    for n in range(2):
        for head in range(2):
            for i in range(7):
                places = [max(-3, min(3, j - i)) + 3 for j in range(7)]
                if relative is bias:
                    added = [layer.relative.weight[p, head] for p in places]
                    scores = [q[n, head, i] @ k[n, head, j] / 2 + a for j, a in enumerate(added)]
                    values = list(v[n, head])
                else:
                    keys, table = layer.relative.key_table, layer.relative.value_table
                    scores = [
                        q[n, head, i] @ (k[n, head, j] + keys[p]) / 2 for j, p in enumerate(places)
                    ]
                    values = [v[n, head, j] + table[p] for j, p in enumerate(places)]
                weights = torch.stack(scores).softmax(0)
                expected[n, head, i] = sum(w * u for w, u in zip(weights, values, strict=True))
    torch.testing.assert_close(layer(x), layer.out_proj(expected.transpose(1, 2).flatten(2)))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_linear_takes_the_leading_columns_of_every_part(data):
    parts = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    active = tuple(data.draw(st.integers(1, part)) for part in parts)
    out = data.draw(st.integers(1, 5))
    layer = ElasticLinear(concat(*parts), 5)
    layer.activate(active, out)
    starts = [sum(parts[:i]) for i in range(len(parts))]
    columns = [s + j for s, n in zip(starts, active, strict=True) for j in range(n)]
    x = torch.randn(3, len(columns))
    expected = functional.linear(x, layer.weight[:out, columns], layer.bias[:out])
    torch.testing.assert_close(layer(x), expected)
    assert torch.equal(layer.extract().weight, layer.weight[:out, columns])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 8), st.booleans(), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_attention_of_any_size(heads, head_dim, width, fused, length):
    layer = ElasticMultiheadAttention(8, 4, head_dim=head_dim, fused=fused).eval()
    layer.activate(width, heads)
    x = torch.randn(2, length, width)
    plain = layer.extract()
    torch.testing.assert_close(layer(x), plain(x))
    projections = 4 * width * heads * head_dim + 3 * heads * head_dim + width
    assert parameters(plain) == projections


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: ElasticLinear(8, 4).activate(9), "1 <= in_features <= 8 must hold, but got 9"),
        (lambda: ElasticLinear(8, 4).activate(8, 0), "1 <= out_features <= 4 must hold"),
        (lambda: ElasticConv2d(8, 8, 5).activate(kernel_size=4), "differ from 5 by an even number"),
        (lambda: ElasticConv2d(8, 8, groups=4).activate(3, 3), "4 groups of 2 input and 2 output"),
        (lambda: ElasticDepthwiseConv2d(8, 7).activate(8, 4), r"one of \[3, 5, 7\], but got 4"),
        (lambda: ElasticDepthwiseConv2d(8, 7).activate(8, 1), r"one of \[3, 5, 7\], but got 1"),
        (lambda: ElasticGroupNorm(4, 8).activate(4, 6), "multiple of num_groups, but got 6 and 4"),
        (lambda: ElasticSequential(nn.ReLU()).activate(2), "depth must be at most 1"),
        (lambda: ElasticSequential(nn.ReLU(), depth=2), "depth must be at most 1"),
        (lambda: ElasticMultiheadAttention(8, 4).activate(num_heads=3), "divide the 8 channels"),
        (lambda: ElasticMultiheadAttention(8, 4, 2, 8), "head_dim or qkv_dim must be None"),
        (lambda: ElasticMultiheadAttention(8, 4, kv_dim=4, fused=True), "use fused=False"),
        (lambda: ElasticLinear(concat(4, 4), 2).activate((4, 5)), "1 <= in_features <= 4"),
        (lambda: ElasticLinear(concat(4, 4), 2).activate(5), "must have 2 parts"),
    ],
)  # fmt: skip
def test_mistakes(act, words):
    with pytest.raises(NasplugError, match=words):
        act()
