"""Channel sorting in once-for-all's blocks: the most important channels first.

The importance of a channel is the L1 norm of the weights of the convolution that reads it
(Once-for-All, section 3.3). What a block computes at full width stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nasplug.elastic import Axis, importance, importance_order, permute
from nasplug_ofa.layers.plain import Residual


@torch.no_grad()
def sort_mbconv(module: Residual, trained_widths: Sequence[int] = ()) -> None:
    """Sort the inner channels of an elastic MBConv block.

    Channels are reordered only within the bands between `trained_widths` (ascending): the widths of
    sub-networks that are trained already, whose channels must stay theirs.
    """
    conv: Any = module.conv
    project = Axis(conv.point_linear.conv, "in_channels")
    others = [*_written(conv.inverted_bottleneck), Axis(conv.depth_conv.conv, "channels")]
    others.append(Axis(conv.depth_conv.bn, "num_features"))
    excite = dict(conv.depth_conv.named_children()).get("se")
    if excite is not None:
        reduce, expand = excite.fc.reduce, excite.fc.expand
        others += [Axis(reduce, "in_channels"), Axis(expand, "out_channels")]
    _sort(project, others, trained_widths)
    if excite is not None:
        _sort(Axis(expand, "in_channels"), [Axis(reduce, "out_channels")])


@torch.no_grad()
def sort_bottleneck(module: nn.Module, trained_widths: Sequence[int] = ()) -> None:
    """Sort the inner channels of an elastic residual bottleneck, between each two convolutions."""
    block: Any = module
    for reader, writer in ((block.conv3, block.conv2), (block.conv2, block.conv1)):
        _sort(Axis(reader.conv, "in_channels"), _written(writer), trained_widths)


def _written(part: Any) -> list[Axis]:
    """The channels that a convolution and its batch norm write."""
    return [Axis(part.conv, "out_channels"), Axis(part.bn, "num_features")]


def _sort(reader: Axis, others: Sequence[Axis], trained_widths: Sequence[int] = ()) -> None:
    permute([reader, *others], importance_order(importance([reader]), trained_widths))
