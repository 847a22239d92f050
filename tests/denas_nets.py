"""Small networks of DE-NAS's domains, as scores meet them."""

from functools import cache

import torch
from torch import nn

import nasplug
from nasplug import Failure, seeded
from nasplug.elastic import MLP, MultiheadAttention
from nasplug.testing import ToySpace, ToyTask


@cache
def evaluator():
    return nasplug.make("evaluator", "proxies", space=ToySpace(), device="cpu")


def score(proxy, model, *inputs, seed=0, task=None):
    """The score of `model` on what is made of single-example `inputs`; its Failure raises."""
    found = attempt(proxy, model, *inputs, seed=seed, task=task)
    assert not isinstance(found, Failure), found
    return found


def attempt(proxy, model, *inputs, seed=0, task=None):
    def example_inputs(n):
        return tuple(x[None].expand(n, *x.shape).clone() for x in inputs)

    task = task or ToyTask()
    return evaluator().score_network({"it": proxy}, model, example_inputs, task, 8, seed)["it"]


IMAGE = torch.zeros(3, 8, 8)
TOKENS = torch.arange(1, 7)
FRAMES = torch.zeros(9, 5)


class Block(nn.Module):
    """A pre-norm layer of nasplug's own attention and MLP."""

    def __init__(self, width, heads=2, ratio=2):
        super().__init__()
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        self.attention = MultiheadAttention({n: nn.Linear(width, width) for n in names}, heads)
        first, second = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
        self.mlp = MLP(first, second, nn.GELU(), 0.1)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Vit(nn.Module):
    """Patches, pre-norm layers, a head on the mean of the tokens."""

    def __init__(self, depth=2, width=8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.place = nn.Parameter(0.02 * torch.randn(1, 4, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.blocks(x)).mean(1))


class Bert(nn.Module):
    """Embeddings, post-norm layers; it ends in a layer norm, with or without a pooler and a head."""

    def __init__(self, depth=2, width=8, head=False):
        super().__init__()
        self.words, self.places = nn.Embedding(11, width), nn.Embedding(6, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, batch_first=True) for _ in range(depth)
        )
        self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 2)
        self.head = head

    def forward(self, ids):
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.classifier(self.pooler(x[:, 0]).tanh()) if self.head else x


class Asr(nn.Module):
    """Frames of features, pre-norm layers, a layer norm at the end."""

    def __init__(self, depth=2, width=8):
        super().__init__()
        self.enter = nn.Linear(5, width)
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, 2, 2 * width, batch_first=True, norm_first=True, activation="gelu"
            ),
            depth, norm=nn.LayerNorm(width), enable_nested_tensor=False,
        )  # fmt: skip

    def forward(self, x):
        return self.layers(self.enter(x))


class Cnn(nn.Sequential):
    """Convolutions with batch norm, pooled."""

    def __init__(self, depth=2, width=8):
        layers = []
        for k in range(depth):
            layers += [
                nn.Conv2d(3 if k == 0 else width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))


def made(kind, seed=0, **sizes):
    """A network of `kind`, and an example's inputs."""
    with seeded(seed):
        return {
            "cnn": (Cnn, IMAGE), "vit": (Vit, IMAGE), "bert": (Bert, TOKENS), "asr": (Asr, FRAMES)
        }[kind][0](**sizes)  # fmt: skip


INPUT = {"cnn": IMAGE, "vit": IMAGE, "bert": TOKENS, "asr": FRAMES}
KINDS = tuple(INPUT)
