"""Elastic layers, and search spaces and super-networks that are composed of them.

A layer is the plain torch layer, of which a part is used: `activate(..)` says which, `extract()` gives
it alone. A model of such layers, some of whose sizes are a `Choice`, is an `ElasticSpace`.
See docs/elastic.md.
"""

from nasplug.toolkit.elastic.attention import (
    ElasticMultiheadAttention,
    MultiheadAttention,
    Relative,
)
from nasplug.toolkit.elastic.blocks import (
    MLP,
    ElasticGatedMLP,
    ElasticMLP,
    ElasticSqueezeExcite,
    GatedMLP,
    SqueezeExcite,
    make_divisible,
    squeeze_excite,
    squeezed,
)
from nasplug.toolkit.elastic.conv import ElasticConv2d, ElasticDepthwiseConv2d
from nasplug.toolkit.elastic.dense import ElasticEmbedding, ElasticLinear
from nasplug.toolkit.elastic.flow import ElasticResidual, ElasticSequential, Residual
from nasplug.toolkit.elastic.layer import Elastic, copy_with_tensors, extract
from nasplug.toolkit.elastic.norms import (
    ElasticBatchNorm1d,
    ElasticBatchNorm2d,
    ElasticGroupNorm,
    ElasticLayerNorm,
    ElasticRMSNorm,
)
from nasplug.toolkit.elastic.positions import (
    ElasticRelativeBias,
    ElasticRelativeEmbedding,
    RelativeBias,
    RelativeEmbedding,
)
from nasplug.toolkit.elastic.sizes import Choice, Derived, Size, Sized, concat, flatten
from nasplug.toolkit.elastic.sorting import (
    Axis,
    importance,
    importance_order,
    permute,
    sort_axis,
    sort_channels,
)
from nasplug.toolkit.elastic.space import ElasticSpace, ElasticSuperNetwork

__all__ = [
    "MLP",
    "Axis",
    "Choice",
    "Derived",
    "Elastic",
    "ElasticBatchNorm1d",
    "ElasticBatchNorm2d",
    "ElasticConv2d",
    "ElasticDepthwiseConv2d",
    "ElasticEmbedding",
    "ElasticGatedMLP",
    "ElasticGroupNorm",
    "ElasticLayerNorm",
    "ElasticLinear",
    "ElasticMLP",
    "ElasticMultiheadAttention",
    "ElasticRMSNorm",
    "ElasticRelativeBias",
    "ElasticRelativeEmbedding",
    "ElasticResidual",
    "ElasticSequential",
    "ElasticSpace",
    "ElasticSqueezeExcite",
    "ElasticSuperNetwork",
    "GatedMLP",
    "MultiheadAttention",
    "Relative",
    "RelativeBias",
    "RelativeEmbedding",
    "Residual",
    "Size",
    "Sized",
    "SqueezeExcite",
    "concat",
    "copy_with_tensors",
    "extract",
    "flatten",
    "importance",
    "importance_order",
    "make_divisible",
    "permute",
    "sort_axis",
    "sort_channels",
    "squeeze_excite",
    "squeezed",
]
