"""Model spaces as users write them, for the tests of nasplug_nni."""

import warnings

import numpy as np
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nni
    from nni.mutable import LabeledMutable
    from nni.mutable.annotation import ExpressionConstraint
    from nni.nas.nn.pytorch import (
        Cell,
        InputChoice,
        LayerChoice,
        ModelSpace,
        MutableBatchNorm2d,
        MutableConv2d,
        MutableLinear,
        Repeat,
    )
    from nni.nas.nn.pytorch.choice import ChosenInputs


def conv(width, kernel):
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width)
    )


class Skip(ModelSpace, label_prefix="net"):
    """Two layer choices and a skip connection: 2 * 3 * 2 networks."""

    def __init__(self, in_channels=1, num_classes=10, width=4):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, 2, 1)
        self.one = LayerChoice([conv(width, 3), nn.MaxPool2d(3, 1, 1)])
        self.two = LayerChoice([conv(width, 3), conv(width, 5), nn.Identity()])
        self.skip = InputChoice(2, n_chosen=1)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        first = self.one(self.stem(x).relu())
        second = self.two(first)
        out = self.skip([second, second + first])
        return self.head(out.mean((2, 3)))


class Nested(ModelSpace):
    """A choice inside a choice, depth, several inputs: every kind that switches."""

    def __init__(self, in_channels=1, num_classes=10, width=4):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, 2, 1)
        inner = LayerChoice({"relu": nn.ReLU(), "tanh": nn.Tanh()}, label="inner")
        self.layer = LayerChoice({"conv": conv(width, 3), "act": inner}, label="outer")
        self.blocks = Repeat(
            lambda i: LayerChoice([conv(width, 3), nn.MaxPool2d(3, 1, 1)], label=f"block{i}"),
            (0, 2),
            label="depth",
        )
        self.pair = InputChoice(3, n_chosen=2, reduction="concat", label="pair")
        self.some = InputChoice(2, n_chosen=None, reduction="sum", label="some")
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        x = self.stem(x)
        y = self.layer(x)
        z = self.blocks(y)
        out = self.pair([x, y, z])
        more = self.some([out, -out.sigmoid()])
        return self.head((out if more is None else out + more).mean((2, 3)))


class Shifted(ModelSpace, label_prefix="net"):
    """A Repeat with a factory and automatic labels before another choice."""

    def __init__(self):
        super().__init__()
        self.blocks = Repeat(
            lambda i: LayerChoice([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)]), (1, 3)
        )
        self.tail = LayerChoice([nn.Tanh(), nn.Identity()])

    def forward(self, x):
        return self.tail(self.blocks(x))


class Values(ModelSpace):
    """Widths, kernel sizes and numbers; a constraint."""

    def __init__(self, in_channels=1, num_classes=10):
        super().__init__()
        width = nni.choice("width", [4, 8])
        kernel = nni.choice("kernel", [3, 5])
        scale = nni.uniform("slope", 0.0, 0.5)
        self.add_mutable(ExpressionConstraint(width + kernel < 13, label="limit"))
        self.stem = MutableConv2d(
            in_channels, width, kernel, stride=2, padding=kernel // 2, bias=False
        )
        self.act = nni.nas.nn.pytorch.MutableLeakyReLU(scale)
        self.head = MutableLinear(width, num_classes)

    def forward(self, x):
        return self.head(self.act(self.stem(x)).mean((2, 3)))


class Sizes(ModelSpace):
    """Widths and kernel sizes that can be mixed, beside a layer choice."""

    def __init__(self, in_channels=1, num_classes=10):
        super().__init__()
        width, kernel = nni.choice("width", [2, 4, 8]), nni.choice("kernel", [1, 3, 5])
        self.stem = MutableConv2d(in_channels, width, kernel, 2, kernel // 2, bias=False)
        self.norm = MutableBatchNorm2d(width)
        self.layer = LayerChoice([nn.ReLU(), nn.Hardswish()], label="layer")
        self.head = MutableLinear(width, num_classes)

    def forward(self, x):
        return self.head(self.layer(self.norm(self.stem(x))).mean((2, 3)))


class NoBias(ModelSpace):
    """A convolution without bias, of open width."""

    def __init__(self, in_channels=1):
        super().__init__()
        self.conv = MutableConv2d(in_channels, nni.choice("width", [2, 4]), 3, bias=False)

    def forward(self, x):
        return self.conv(x)


class Cells(ModelSpace):
    """A cell of plain operations."""

    def __init__(self, in_channels=1, num_classes=10, width=4):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, 2, 1)
        self.cell = Cell([conv(width, 3), nn.MaxPool2d(3, 1, 1)], 2, 1, 1, label="cell")
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        return self.head(self.cell([self.stem(x)]).mean((2, 3)))


class Unlabelled(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice([nn.ReLU(), nn.Tanh()])


class Choiceless(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)


class NotASpace(nn.Module):
    pass


class Strange(LabeledMutable):
    """A kind of choice that nobody knows."""

    def __init__(self):
        self.label = "strange"

    def default(self, memo=None):
        return 1

    def robust_default(self, memo=None, retries=1):
        return 1

    def check_contains(self, sample):
        return None


class Unsupported(ModelSpace):
    def __init__(self):
        super().__init__()
        self.add_mutable(Strange())


def signature(network):
    """What networks do, as text: nni's chosen inputs and graphs print nothing of themselves."""
    shapes = [(name, tuple(p.shape)) for name, p in network.named_parameters()]
    inputs = [m.chosen for m in network.modules() if isinstance(m, ChosenInputs)]
    graphs = [getattr(m, "connection_matrix", ()) for m in network.modules()]
    return f"{network}{shapes}{inputs}{[np.asarray(g).tolist() for g in graphs]}"
