"""Small spaces and tasks, of images and of tokens, to score networks on."""

import torch
from nasplug_proxies.scoring.batches import ProxyBatches
from nasplug_proxies.scoring.scoring import scores
from torch import nn
from torch.nn import functional

from nasplug import Metric, SearchSpace, Task, Variable


class Unit(nn.Module):
    """Convolution, batch norm, activation in place; drops some of its output."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )

    def forward(self, x):
        return self.body(x)


class Images(SearchSpace):
    """Two to three units of elastic width on 8 x 8 images."""

    variables = (
        Variable("depth", (2, 3)),
        Variable("width", (4, 6, 8)),
    )

    def build(self, arch):
        depth, width = self.variables[0].options[arch[0]], self.variables[1].options[arch[1]]
        units = [Unit(3 if k == 0 else width, width, 1 + k % 2) for k in range(depth)]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))
        return nn.Sequential(*units, *head)

    def example_inputs(self, batch_size):
        return (torch.zeros(batch_size, 3, 8, 8),)


class Stripes(Task):
    """Images by their direction."""

    metrics = {"top1": Metric("%", "maximize")}

    def train_batches(self, batch_size, seed, epoch=0):
        rng = torch.Generator().manual_seed(seed)
        for _ in range(4):
            labels = torch.arange(batch_size) % 3
            yield torch.randn(batch_size, 3, 8, 8, generator=rng) + labels.view(-1, 1, 1, 1), labels

    def criterion(self, outputs, batch):
        return functional.cross_entropy(outputs, batch[-1])

    def quality(self, model, metrics):
        raise AssertionError("nothing is validated here")


class Tokens(SearchSpace):
    """Sequences of integers through an embedding, attention and a linear layer."""

    variables = (Variable("width", (8, 16)),)

    def build(self, arch):
        return Encoder(self.variables[0].options[arch[0]])

    def example_inputs(self, batch_size):
        return (torch.arange(batch_size * 5).view(batch_size, 5) % 11,)


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, batch_first=True, activation=nn.GELU())
            for _ in range(2)
        )
        self.head = nn.Linear(width, 3)

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


class Reading(Stripes):
    def train_batches(self, batch_size, seed, epoch=0):
        rng = torch.Generator().manual_seed(seed)
        for _ in range(4):
            tokens = torch.randint(11, (batch_size, 5), generator=rng)
            yield tokens, tokens[:, 0] % 3


class Given(Task):
    """A task of given batches, and cross-entropy."""

    def __init__(self, *batches):
        self.batches = batches

    metrics = {}

    def train_batches(self, batch_size, seed, epoch=0):
        return iter(self.batches)

    def criterion(self, outputs, batch):
        return functional.cross_entropy(outputs, batch[-1])

    def quality(self, model, metrics):
        raise AssertionError("nothing is validated here")


def score(proxy, model, *batches, shape=None, seed=0, samples=8):
    """The score of `model` on `batches`, or on made-up inputs of a `shape`."""
    shape = shape or batches[0][0].shape[1:]
    feed = ProxyBatches(lambda n: (torch.zeros(n, *shape),), Given(*batches), samples, seed)
    return scores({"it": proxy}, model, feed)["it"]
