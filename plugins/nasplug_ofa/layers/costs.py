"""Exact costs of plain layers: parameters, and multiply-adds of convolutions and linear layers."""

from __future__ import annotations

from typing import NamedTuple

from nasplug.contracts.types import IntArray
from nasplug.elastic import squeezed

Count = int | IntArray
"""A number, or one an architecture."""


class Cost(NamedTuple):
    """Numbers of parameters and of multiply-adds for one input."""

    params: Count
    macs: Count


def total(*costs: Cost) -> Cost:
    """Their sum."""
    return Cost(sum((c.params for c in costs), 0), sum((c.macs for c in costs), 0))


def times(cost: Cost, n: Count) -> Cost:
    """`n` of them."""
    return Cost(cost.params * n, cost.macs * n)


def reduced(size: int, stride: int) -> int:
    """The output size of a same-padded convolution with an odd kernel: ceil(size / stride)."""
    return -(-size // stride)


def conv_cost(
    width_in: Count, width_out: Count, size: int, kernel: int = 1, bias: bool = False
) -> Cost:
    """A convolution with `width_in` inputs a group, `width_out` outputs of `size` x `size`.

    A bias counts as parameters alone.
    """
    weights = width_in * width_out * kernel**2
    return Cost(weights + bias * width_out, weights * size**2)


def norm_cost(width: Count) -> Cost:
    """Batch norm: a weight and a bias a channel; its arithmetic is not counted."""
    return Cost(2 * width, 0)


def squeeze_excite_cost(width: int) -> Cost:
    """Two 1x1 convolutions with bias on the channel means."""
    inner = squeezed(width)
    return total(conv_cost(width, inner, 1, bias=True), conv_cost(inner, width, 1, bias=True))


def linear_cost(width_in: Count, width_out: Count) -> Cost:
    """A linear layer with bias."""
    return conv_cost(width_in, width_out, 1, bias=True)
