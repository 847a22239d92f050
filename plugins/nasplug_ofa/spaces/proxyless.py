"""The once-for-all ProxylessNAS space: 7371^5 * 9 architectures, one super-network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, final

from torch import Tensor, nn

from nasplug import Architecture, PositiveFloat, PositiveInt, Range, SearchSpace, Variable
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import make_divisible
from nasplug_ofa.layers.costs import conv_cost, linear_cost, norm_cost, reduced, total
from nasplug_ofa.layers.mbconv import Block
from nasplug_ofa.layers.plain import classifier, conv2d, example, initialise, named
from nasplug_ofa.spaces.mbconv_layout import EXPANDS, KERNELS, MBConvLayout, Stage
from nasplug_ofa.supernet import OfaSuperNetwork
from nasplug_ofa.validation import dropout_rate, positive, width_multiplier
from nasplug_ofa.weights import MBCONV_NETS

WIDTHS = (32, 16, 24, 40, 80, 96, 192, 320, 1280)
STRIDES = (2, 2, 2, 1, 2, 1)
EPS = 1e-3


@final
class OfaProxylessNAS(SearchSpace):
    """ProxylessNAS of elastic depth, kernel size and expand ratio.

    Five stages of 2 to 4 blocks and one of a single block, each block with a 3x3, 5x5 or 7x7 kernel
    and an expand ratio of 3, 4 or 6; ReLU6 throughout, no squeeze-and-excite: 7371^5 * 9 = 2.0e20
    architectures. Cai et al., Once-for-All, ICLR 2020, after ProxylessNAS, ICLR 2019; published
    weights exist for `width_mult` 1.3.

    Args:
        width_mult: Factor on all widths outside the blocks, each then made divisible by 8.
        num_classes: Outputs; None: 1000, or what the task has.
        image_size: Height and width in pixels; None: 224, or what the task has.
        in_channels: Channels of the images; None: 3, or what the task has.
        dropout: Rate before the classifier, in training.
    """

    def __init__(
        self,
        width_mult: PositiveFloat = 1.3,
        num_classes: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.1,
    ) -> None:
        self.width_mult = width_multiplier(width_mult)
        self.num_classes = positive("num_classes", num_classes, 1000)
        self.image_size = positive("image_size", image_size, 224)
        self.in_channels = positive("in_channels", in_channels, 3)
        self.dropout = dropout_rate(dropout)

    @cached_property
    def _widths(self) -> list[int]:
        return [make_divisible(width * self.width_mult) for width in WIDTHS]

    @cached_property
    def layout(self) -> MBConvLayout:
        """The blocks."""
        stem, width, *widths = self._widths
        first = Block(stem, width, 1, nn.ReLU6, squeeze=False, shortcut=False, eps=EPS)
        depths = [(2, 3, 4)] * 5 + [(1,)]
        stages = tuple(
            Stage(width, depth, stride, activation=nn.ReLU6)
            for width, depth, stride in zip(widths[:6], depths, STRIDES, strict=True)
        )
        return MBConvLayout(first, stages, reduced(self.image_size, 2))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Per stage its depth, and per block its kernel and expand ratio: 47 in all."""
        return self.layout.variables

    def build(self, arch: Architecture) -> nn.Module:
        """The plain network of `arch`; input (n, in_channels, image_size, image_size)."""
        return initialise(named(**self._parts(self.layout.build(arch))))

    def supernet(self) -> OfaSuperNetwork:
        """The super-network, 7,956,882 parameters at width 1.3; state-dict keys as published."""
        parts = self._parts(self.layout.elastic())
        return initialise(OfaSuperNetwork(self.layout, parts, self.largest, self._published))

    def _parts(self, blocks: nn.Module) -> dict[str, nn.Module]:
        stem, *_, last, mixed = self._widths
        return {
            "first_conv": named(
                conv=conv2d(self.in_channels, stem, 3, 2),
                bn=nn.BatchNorm2d(stem, EPS),
                act=nn.ReLU6(),
            ),
            "blocks": blocks,
            "feature_mix_layer": named(
                conv=conv2d(last, mixed), bn=nn.BatchNorm2d(mixed, EPS), act=nn.ReLU6()
            ),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": classifier(nn.Linear(mixed, self.num_classes), self.dropout),
        }

    @property
    def _published(self) -> str | None:
        if (self.width_mult, self.num_classes, self.in_channels) != (1.3, 1000, 3):
            return None
        return f"{MBCONV_NETS}ofa_proxyless_d234_e346_k357_w1.3"

    def example_inputs(self, batch_size: int) -> tuple[Tensor, ...]:
        """One image tensor (batch_size, in_channels, image_size, image_size), always the same."""
        return example(batch_size, self.in_channels, self.image_size)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs` (multiply-adds of convolutions and linear layers), exact, shape (n,)."""
        stem, *_, last, mixed = self._widths
        half = reduced(self.image_size, 2)
        fixed = total(
            conv_cost(self.in_channels, stem, half, kernel=3),
            norm_cost(stem),
            conv_cost(last, mixed, self.layout.last_size),
            norm_cost(mixed),
            linear_cost(mixed, self.num_classes),
        )
        return self.layout.costs(archs, fixed)

    def from_ofa(self, config: Mapping[str, Any]) -> Architecture:
        """The architecture of a published configuration {"ks": 21 kernels, "e": 21 ratios, "d": 6}.

        As the authors' `set_active_subnet` takes them: a depth above a stage's blocks is that many,
        so that six 2s are a network; DyNAS-T's lists of 20, 20 and 5 say nothing about the last
        block, which is as their super-network has it at first, of the largest kernel and ratio.
        """
        return self.arch(self.layout.from_ofa(_completed(config, self.layout.stages)))

    def to_ofa(self, arch: Architecture) -> dict[str, list[int]]:
        """The published configuration of `arch`."""
        return self.layout.to_ofa(arch)


def _completed(config: Mapping[str, Any], stages: Sequence[Stage]) -> dict[str, Any]:
    """`config` with an entry for the last block, and depths no greater than their stages have."""
    found = dict(config)
    for key, last, short in (("ks", KERNELS[-1], 20), ("e", EXPANDS[-1], 20), ("d", 1, 5)):
        values = config.get(key)
        if isinstance(values, list | tuple) and len(values) == short:
            found[key] = [*values, last]
    if isinstance(depths := found.get("d"), list | tuple) and len(depths) == len(stages):
        most = [max(stage.depths) for stage in stages]
        found["d"] = [
            min(d, m) if isinstance(d, int) else d for d, m in zip(depths, most, strict=True)
        ]
    return found
