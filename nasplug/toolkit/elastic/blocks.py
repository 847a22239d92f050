"""Blocks with an inner width of their own, plain and elastic: squeeze-excite, MLP, gated MLP."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, final

from torch import Tensor, nn

from nasplug.toolkit.elastic.conv import ElasticConv2d
from nasplug.toolkit.elastic.dense import ElasticLinear
from nasplug.toolkit.elastic.layer import Elastic
from nasplug.toolkit.elastic.sizes import Derived, Own, Size, Sized


def make_divisible(width: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `width`, at least `divisor` and at least 90 % of `width`.

    The MobileNet rule (Sandler et al., MobileNetV2, reference implementation).
    """
    near = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * width else near


class SqueezeExcite(nn.Module):
    """Scales every channel by a factor computed from all channels' means.

    Hu et al., CVPR 2018, with the hard sigmoid of MobileNetV3 (Howard et al., 2019).
    """

    fc: Any

    def __init__(self, reduce: nn.Module, expand: nn.Module) -> None:
        super().__init__()
        gate = nn.Hardsigmoid()
        layers = OrderedDict(reduce=reduce, relu=nn.ReLU(), expand=expand, h_sigmoid=gate)
        self.fc = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w), unchanged in shape."""
        scaled: Tensor = x * self.fc(x.mean((2, 3), keepdim=True))
        return scaled


def squeezed(width: int) -> int:
    """The inner width of squeeze-and-excite: a quarter, made divisible by 8."""
    return make_divisible(width // 4)


def squeeze_excite(width: int) -> SqueezeExcite:
    """A plain squeeze-and-excite with a quarter of the width inside."""
    inner = squeezed(width)
    return SqueezeExcite(nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1))


@final
class ElasticSqueezeExcite(Elastic, SqueezeExcite):
    """Squeeze-and-excite of elastic width; the inner width is a quarter of the active one.

    Args:
        channels: The width: a number, or a size that variables decide.
    """

    KIND = SqueezeExcite

    def __init__(self, channels: Sized) -> None:
        inner = Own(Derived(squeezed, (channels,))) if isinstance(channels, Size) else None
        hidden = squeezed(channels) if isinstance(channels, int) else inner
        assert hidden is not None
        super().__init__(ElasticConv2d(channels, hidden), ElasticConv2d(hidden, channels))
        self.declare()

    def activate(self, channels: int | None = None) -> None:
        """Use the leading channels, outside and inside."""
        inner = None if channels is None else squeezed(channels)
        self.fc.reduce.activate(channels, inner)
        self.fc.expand.activate(inner, channels)


class GatedMLP(nn.Module):
    """down(activation(gate(x)) * up(x)) (Shazeer, GLU Variants Improve Transformer, 2020)."""

    def __init__(
        self, gate: nn.Module, up: nn.Module, down: nn.Module, activation: nn.Module
    ) -> None:
        super().__init__()
        self.gate, self.up, self.down, self.activation = gate, up, down, activation

    def forward(self, x: Tensor) -> Tensor:
        """(.., features), unchanged in shape."""
        hidden: Tensor = self.activation(self.gate(x)) * self.up(x)
        out: Tensor = self.down(hidden)
        return out


@final
class ElasticGatedMLP(Elastic, GatedMLP):
    """A gated MLP of elastic outer and inner width, as in Llama with `nn.SiLU`.

    Args:
        features: Width of inputs and outputs: a number, or a size that variables decide.
        hidden_features: Inner width, likewise.
        activation: Makes the activation.
        bias: Of all three layers.
    """

    KIND = GatedMLP

    def __init__(
        self,
        features: Sized,
        hidden_features: Sized,
        activation: Callable[[], nn.Module] = nn.SiLU,
        bias: bool = False,
    ) -> None:
        inner = _own(hidden_features)
        super().__init__(
            ElasticLinear(features, inner, bias),
            ElasticLinear(features, inner, bias),
            ElasticLinear(inner, features, bias),
            activation(),
        )
        self.declare()

    def activate(self, features: int | None = None, hidden_features: int | None = None) -> None:
        """Use the leading channels, outside and inside."""
        for layer in (self.gate, self.up):
            _linear(layer).activate(features, hidden_features)
        _linear(self.down).activate(hidden_features, features)


class MLP(nn.Module):
    """Two linear layers with an activation between them, and dropout after it."""

    def __init__(self, fc1: nn.Module, fc2: nn.Module, activation: nn.Module, dropout: float):
        super().__init__()
        self.fc1, self.activation, self.dropout = fc1, activation, nn.Dropout(dropout)
        self.fc2 = fc2

    def forward(self, x: Tensor) -> Tensor:
        """(.., features), unchanged in shape."""
        out: Tensor = self.fc2(self.dropout(self.activation(self.fc1(x))))
        return out


@final
class ElasticMLP(Elastic, MLP):
    """An MLP of elastic outer and inner width: a transformer's feed-forward layers.

    Args:
        features: Width of inputs and outputs: a number, or a size that variables decide.
        hidden_features: Inner width, likewise.
        activation: Makes the activation.
        dropout: Rate after the activation, in training.
        bias: Of both layers.
    """

    KIND = MLP

    def __init__(
        self,
        features: Sized,
        hidden_features: Sized,
        activation: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        inner = _own(hidden_features)
        first, second = ElasticLinear(features, inner, bias), ElasticLinear(inner, features, bias)
        super().__init__(first, second, activation(), dropout)
        self.declare()

    def activate(self, features: int | None = None, hidden_features: int | None = None) -> None:
        """Use the leading channels, outside and inside."""
        _linear(self.fc1).activate(features, hidden_features)
        _linear(self.fc2).activate(hidden_features, features)


def _own(size: Sized) -> Sized:
    return Own(size) if isinstance(size, Size) else size


def _linear(layer: Any) -> ElasticLinear:
    assert isinstance(layer, ElasticLinear)
    return layer
