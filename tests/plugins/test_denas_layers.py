"""Which layers are attention's and which feed-forward; each weight once; the unknown is refused."""

from collections import Counter

import pytest
import torch
from denas_nets import IMAGE, TOKENS, Asr, Bert, Cnn, Vit, attempt, score
from nasplug_denas.score.diversity import Diversity
from nasplug_denas.score.expressivity import Expressivity
from nasplug_denas.score.layers import chosen, weighted_layers
from nasplug_denas.score.saliency import Saliency
from torch import nn
from torch.nn import functional

from nasplug import Failure, NasplugError


def counts(model):
    return Counter(layer.kind for layer in weighted_layers(model))


def test_a_vit_of_d_layers_has_four_attention_and_two_feed_forward_layers_each():
    for depth in (1, 3):
        found = counts(Vit(depth))
        assert found == {
            "attention": 4 * depth,
            "feed_forward": 2 * depth,
            "convolution": 1,
            "other": 1,
        }


def test_fused_projections_of_torch_are_one_weight():
    """in_proj and out_proj; linear1 and linear2; the pooler and the classifier are other."""
    assert counts(Bert(2)) == {"attention": 4, "feed_forward": 4, "other": 2}
    assert counts(Asr(2)) == {"attention": 4, "feed_forward": 4, "other": 1}


def test_a_convolutional_network_has_no_attention():
    assert counts(Cnn(3)) == {"convolution": 3, "other": 1}


class Conv1D(nn.Module):
    """As in Hugging Face's GPT-2: the weight is (inputs, outputs)."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.nf = outputs
        self.weight = nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, x):
        return x @ self.weight


class TinySelfAttention(nn.Module):
    """Hugging Face's way: attention by its class name, feed-forward in a list of layers."""

    def __init__(self, width):
        super().__init__()
        self.c_attn = Conv1D(3 * width, width)

    def forward(self, x):
        return functional.scaled_dot_product_attention(*self.c_attn(x).chunk(3, -1))


class Gpt(nn.Module):
    def __init__(self, width=8, attention=TinySelfAttention):
        super().__init__()
        self.words = nn.Embedding(11, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"attn": attention(width), "mlp": Conv1D(width, width)}) for _ in range(2)
        )
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids):
        x = self.words(ids)
        for layer in self.layers:
            x = x + layer["attn"](x)
            x = x + layer["mlp"](x)
        return self.head(x)


def test_hugging_faces_conv1d_is_linear_with_a_transposed_weight():
    model = Gpt()
    assert counts(model) == {"attention": 2, "feed_forward": 2, "other": 1}
    layer = weighted_layers(model)[0]
    assert layer.name == "layers.0.attn.c_attn.weight"
    assert layer.matrix(layer.weight).shape == (24, 8)


def test_a_weight_of_two_layers_counts_once():
    first = nn.Linear(4, 4)
    second = nn.Linear(4, 4)
    second.weight = first.weight
    assert [layer.name for layer in weighted_layers(nn.Sequential(first, second))] == ["0.weight"]


class Mixer(nn.Module):
    """Attends, without saying so."""

    def __init__(self, width, fused):
        super().__init__()
        self.qkv, self.fused = nn.Linear(width, 3 * width), fused

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.fused:
            return functional.scaled_dot_product_attention(q, k, v)
        return (q @ k.transpose(1, 2)).softmax(-1) @ v


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "proxy", [Diversity(), Expressivity(), Saliency()], ids=lambda p: type(p).__name__
)
def test_a_family_that_is_not_known_is_refused(proxy, fused):
    found = attempt(proxy, Gpt(attention=lambda width: Mixer(width, fused)), TOKENS)
    assert isinstance(found, Failure)
    assert "attends elsewhere" in found.error


def test_a_softmax_alone_is_no_attention():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3), nn.Softmax(-1))
    assert score(Diversity(), model, IMAGE)


def test_layers_that_are_asked_for_and_not_there_are_an_error():
    layers = weighted_layers(Cnn())
    with pytest.raises(NasplugError, match="must have feed-forward layers"):
        chosen(layers, "feed_forward", "attention")
    assert len(chosen(layers, "auto", "attention")) == len(layers) == 3
    assert {x.kind for x in chosen(weighted_layers(Vit()), "auto", "attention")} == {"attention"}
    with pytest.raises(NasplugError, match="must have convolution, linear"):
        weighted_layers(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert", {"attention": 48, "feed_forward": 24, "other": 1}),
        ("gpt2", {"attention": 24, "feed_forward": 24}),
        ("t5", {"attention": 72, "feed_forward": 24}),
    ],
)
def test_families_of_transformers(name, expected):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(name))
    assert counts(model) == expected
