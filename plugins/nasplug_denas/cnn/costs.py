"""What residual networks cost, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nasplug.contracts.types import IntArray

Count = int | IntArray
"""A number, or one an architecture, shape (n,)."""


class Cost(NamedTuple):
    """Learnt numbers, and multiply-adds of convolutions and linear layers of one image."""

    params: Count
    macs: Count

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.params + other.params, self.macs + other.macs)

    def times(self, number: Count) -> Cost:
        """So many of it."""
        return Cost(self.params * number, self.macs * number)


def conv_cost(width_in: Count, width: Count, kernel: Count, side: int, bias: bool = False) -> Cost:
    """Of a convolution to `side` x `side` pixels, and the batch norm after it."""
    weights = width_in * width * kernel * kernel
    return Cost(weights + (3 if bias else 2) * width, weights * side * side)


def reduced(side: int, stride: int) -> int:
    """Pixels a side after a stride."""
    return -(-side // stride)


def block_cost(sizes: Mapping[str, Count], width_in: Count, side: int, stride: int) -> Cost:
    """Of residual super-blocks: `basic`, 1 where they are of that kind and 0 where a bottleneck,
    `kernel`, `channels`, `bottleneck`, `sublayers`; of `side` x `side` input pixels."""
    kernel, width, inner = sizes["kernel"], sizes["channels"], sizes["bottleneck"]
    small, more = reduced(side, stride), sizes["sublayers"] - 1
    project = conv_cost(width_in, width, 1, small, bias=True)

    def basic(width_in: Count) -> Cost:
        first = conv_cost(width_in, inner, kernel, small)
        return first.plus(conv_cost(inner, width, kernel, small))

    def bottleneck(width_in: Count, side: int) -> Cost:
        first = conv_cost(width_in, inner, 1, side)
        middle = conv_cost(inner, inner, kernel, small)
        return first.plus(middle).plus(conv_cost(inner, width, 1, small))

    again = bottleneck(width, small)
    of_basic = basic(width_in).plus(basic(width).times(more))
    of_bottleneck = bottleneck(width_in, side).plus(again).plus(again.times(2 * more))
    is_basic = sizes["basic"]
    return project.plus(of_basic.times(is_basic)).plus(of_bottleneck.times(1 - is_basic))


def linear_cost(width_in: Count, width: Count) -> Cost:
    """Of a linear layer with bias."""
    return Cost((width_in + 1) * width, width_in * width)
