"""Channel sorting: the most important channels first, so that narrow sub-networks inherit them.

The importance of a channel is the L1 norm of the weights that read it (Once-for-All, section 3.3).
What a block computes at full width stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nasplug_ofa.layers import Residual


@torch.no_grad()
def sort_mbconv(module: Residual, bands: Sequence[int] = ()) -> None:
    """Sort the inner channels of an elastic MBConv block.

    `bands` are widths, ascending, that no channel crosses: those of the sub-networks that are
    trained already, whose channels must stay theirs.
    """
    conv = module.conv
    project = conv.point_linear.conv.conv.weight
    order = _order(project, bands)
    _permute(project, 1, order)
    for part in (conv.inverted_bottleneck, conv.depth_conv):
        _permute(part.conv.conv.weight, 0, order)
        _permute_norm(part.bn.bn, order)
    for name, excite in conv.depth_conv.named_children():
        if name == "se":
            reduce, expand = excite.fc.reduce, excite.fc.expand
            _permute(reduce.weight, 1, order)
            _permute(expand.weight, 0, order)
            _permute(expand.bias, 0, order)
            inner = _order(expand.weight)
            _permute(expand.weight, 1, inner)
            _permute(reduce.weight, 0, inner)
            _permute(reduce.bias, 0, inner)


@torch.no_grad()
def sort_bottleneck(module: nn.Module, bands: Sequence[int] = ()) -> None:
    """Sort the inner channels of an elastic residual bottleneck, between each two convolutions."""
    for reader, writer in ((module.conv3, module.conv2), (module.conv2, module.conv1)):
        order = _order(reader.conv.conv.weight, bands)
        _permute(reader.conv.conv.weight, 1, order)
        _permute(writer.conv.conv.weight, 0, order)
        _permute_norm(writer.bn.bn, order)


def _order(reader: Tensor, bands: Sequence[int] = ()) -> Tensor:
    importance = reader.abs().sum((0, 2, 3))
    edges = [0, *bands, len(importance)]
    return torch.cat(
        [
            low + importance[low:high].argsort(descending=True, stable=True)
            for low, high in pairwise(edges)
        ]
    )


def _permute(tensor: Tensor, axis: int, order: Tensor) -> None:
    tensor.copy_(tensor.index_select(axis, order))


def _permute_norm(norm: nn.BatchNorm2d, order: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        _permute(getattr(norm, name), 0, order)
