"""Plain or elastic: the layers that blocks are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from nasplug_ofa.elastic import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticDepthwise2d,
    ElasticSqueezeExcite,
)
from nasplug_ofa.layers import conv2d, depthwise2d, squeeze_excite


@dataclass(frozen=True)
class Kit:
    """One constructor a role; the arguments are the same in both kits.

    `conv(width_in, width_out, kernel=1, stride=1)`, `depthwise(width, kernel, stride)`,
    `norm(width, eps)`, `squeeze_excite(width)`.
    """

    conv: Callable[..., nn.Module]
    depthwise: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    squeeze_excite: Callable[..., nn.Module]


PLAIN = Kit(conv2d, depthwise2d, nn.BatchNorm2d, squeeze_excite)
ELASTIC = Kit(ElasticConv2d, ElasticDepthwise2d, ElasticBatchNorm2d, ElasticSqueezeExcite)
