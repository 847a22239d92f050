"""The once-for-all ResNet-50 space, of elastic depth and width, and its super-network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, final

from torch import Tensor, nn

from nasplug import Architecture, PositiveInt, Range, SearchSpace, Variable
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import ElasticLinear, ElasticSequential
from nasplug_ofa.layers.layer_factory import ELASTIC, PLAIN
from nasplug_ofa.layers.plain import classifier, example, initialise, named
from nasplug_ofa.spaces.resnet_layout import ResNetLayout
from nasplug_ofa.supernet import OfaSuperNetwork
from nasplug_ofa.validation import dropout_rate, positive
from nasplug_ofa.weights import RESNET50


@final
class OfaResNet50(SearchSpace):
    """ResNet-50D of elastic depth, width and expand ratio: 1.6e12 architectures.

    Each of four stages has 0 to 2 blocks more than its least (2, 2, 4, 2) and 0.65, 0.8 or 1.0 of
    ResNet-50's width; each block's inner width is 0.2, 0.25 or 0.35 of its output's; the stem has two
    widths of its own, and a residual convolution or none. Cai et al., Once-for-All, ICLR 2020; the
    published configurations write some of these networks in two or more ways.

    Args:
        num_classes: Outputs; None: 1000, or what the task has.
        image_size: Height and width in pixels; None: 224, or what the task has.
        in_channels: Channels of the images; None: 3, or what the task has.
        dropout: Rate before the classifier, in training.
    """

    def __init__(
        self,
        num_classes: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    ) -> None:
        self.num_classes = positive("num_classes", num_classes, 1000)
        self.image_size = positive("image_size", image_size, 224)
        self.in_channels = positive("in_channels", in_channels, 3)
        self.dropout = dropout_rate(dropout)

    @cached_property
    def layout(self) -> ResNetLayout:
        """The elastic stages."""
        return ResNetLayout(self.in_channels, self.num_classes, self.image_size)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Depths, widths (in channels) and expand ratios: 29 in all."""
        return self.layout.variables

    def build(self, arch: Architecture) -> nn.Module:
        """The plain network of `arch`; input (n, in_channels, image_size, image_size)."""
        stem = nn.Sequential(*self.layout.stem(arch, PLAIN))
        blocks = nn.Sequential(*self.layout.blocks(arch, PLAIN))
        linear = nn.Linear(self.layout.features(arch), self.num_classes)
        return initialise(named(**self._parts(stem, blocks, linear)))

    def supernet(self) -> OfaSuperNetwork:
        """The super-network, 48,105,992 parameters; state-dict keys as published."""
        stem = ElasticSequential(*self.layout.stem(self.largest, ELASTIC))
        blocks = ElasticSequential(*self.layout.blocks(self.largest, ELASTIC))
        linear = ElasticLinear(self.layout.features(self.largest), self.num_classes)
        parts = self._parts(stem, blocks, linear)
        fits = (self.num_classes, self.in_channels) == (1000, 3)
        return initialise(
            OfaSuperNetwork(self.layout, parts, self.largest, RESNET50 if fits else None)
        )

    def _parts(self, stem: nn.Module, blocks: nn.Module, linear: nn.Module) -> dict[str, nn.Module]:
        return {
            "input_stem": stem,
            "max_pooling": nn.MaxPool2d(3, 2, 1),
            "blocks": blocks,
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": classifier(linear, self.dropout),
        }

    def example_inputs(self, batch_size: int) -> tuple[Tensor, ...]:
        """One image tensor (batch_size, in_channels, image_size, image_size), always the same."""
        return example(batch_size, self.in_channels, self.image_size)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs` (multiply-adds of convolutions and linear layers), exact, shape (n,)."""
        return self.layout.costs(archs)

    def from_ofa(self, config: Mapping[str, Any]) -> Architecture:
        """The architecture of a published configuration {"d": 5, "e": 18 ratios, "w": 6 indices}."""
        return self.arch(self.layout.from_ofa(config))

    def to_ofa(self, arch: Architecture) -> dict[str, list[Any]]:
        """The published configuration of `arch`."""
        return self.layout.to_ofa(arch)
