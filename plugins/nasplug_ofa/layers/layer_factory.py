"""Plain or elastic: the layers that blocks are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from nasplug.elastic import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticSqueezeExcite,
    squeeze_excite,
)
from nasplug_ofa.layers.plain import conv2d, depthwise2d


@dataclass(frozen=True)
class LayerFactory:
    """One constructor a role; the arguments are the same in both factories.

    `conv(width_in, width_out, kernel=1, stride=1)`, `depthwise(width, kernel, stride)`,
    `norm(width, eps)`, `squeeze_excite(width)`.
    """

    conv: Callable[..., nn.Module]
    depthwise: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    squeeze_excite: Callable[..., nn.Module]


PLAIN = LayerFactory(conv2d, depthwise2d, nn.BatchNorm2d, squeeze_excite)
ELASTIC = LayerFactory(
    partial(ElasticConv2d, bias=False),
    ElasticDepthwiseConv2d,
    ElasticBatchNorm2d,
    ElasticSqueezeExcite,
)
