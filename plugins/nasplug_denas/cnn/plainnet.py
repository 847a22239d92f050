"""PlainNet strings: convolutional networks as Zen-NAS and DE-NAS write them.

A network is a row of super-blocks, e.g.

    SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK1K5K1(16,32,2,16,2)SuperConvK1BNRELU(32,64,1,1)

The numbers are input channels, output channels, the stride, for residual blocks the bottleneck's
channels, and the number of sub-layers. A mean over all pixels and a linear layer follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, final

from nasplug import NasplugError

Kind = Literal["conv", "basic", "bottleneck"]
KERNELS = (1, 3, 5, 7)

_ONE = (
    r"Super(?:ConvK(?P<conv>\d+)BNRELU|ResK(?P<basic>\d+)K(?P=basic)|ResK1K(?P<bottleneck>\d+)K1)"
)
_BLOCK = re.compile(_ONE + r"\((?P<numbers>[\d,\s]*)\)")
EXAMPLE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperConvK1BNRELU(16,32,1,1)"


@final
@dataclass(frozen=True)
class SuperBlock:
    """A row of equal sub-layers, of which the first has the stride and changes the channels.

    `kind`: "conv", a convolution; "basic", two of them beside a shortcut; "bottleneck", twice three,
    the outer ones 1 x 1, each three beside a shortcut. `bottleneck`: inner channels; 0 for "conv".
    """

    kind: Kind
    kernel: int
    in_channels: int
    out_channels: int
    stride: int
    bottleneck: int
    sublayers: int

    def __str__(self) -> str:
        k, ends = self.kernel, (self.in_channels, self.out_channels, self.stride)
        if self.kind == "conv":
            return f"SuperConvK{k}BNRELU({_joined(*ends, self.sublayers)})"
        kernels = f"K{k}K{k}" if self.kind == "basic" else f"K1K{k}K1"
        return f"SuperRes{kernels}({_joined(*ends, self.bottleneck, self.sublayers)})"


def parse(text: str) -> tuple[SuperBlock, ...]:
    """The blocks of a PlainNet string; white space between them is passed over."""
    found, place = [], 0
    for match in _BLOCK.finditer(text):
        if text[place : match.start()].strip():
            break
        found.append(_block(match))
        place = match.end()
    if not found or text[place:].strip():
        rest = text[place:].strip() if found else text
        raise NasplugError(
            "a network must be a row of SuperConvK3BNRELU(..), SuperResK3K3(..) or SuperResK1K3K1(..), e.g. "
            f"{EXAMPLE}, but got {rest!r:.80}"
        )
    for one, other in pairwise(found):
        if one.out_channels != other.in_channels:
            raise NasplugError(
                f"a block must take as many channels as the one before it gives, but {other} follows {one}"
            )
    return tuple(found)


def text(blocks: Sequence[SuperBlock]) -> str:
    """The PlainNet string of blocks."""
    return "".join(map(str, blocks))


def _block(match: re.Match[str]) -> SuperBlock:
    kinds: tuple[Kind, ...] = ("conv", "basic", "bottleneck")
    kind = next(kind for kind in kinds if match[kind] is not None)
    kernel, words = int(match[kind]), match["numbers"].replace(" ", "").split(",")
    needed = 4 if kind == "conv" else 5
    if len(words) != needed or not all(word.isdigit() and int(word) > 0 for word in words):
        names = "in, out, stride, sublayers"
        names = names if kind == "conv" else names.replace("sublayers", "bottleneck, sublayers")
        raise NasplugError(f"{match[0]} must have {needed} positive numbers: {names}")
    kernels = KERNELS if kind == "conv" else KERNELS[1:]
    if kernel not in kernels:
        raise NasplugError(f"the kernel must be one of {list(kernels)}, but got {match[0]}")
    width_in, width, stride, *inner, number = (int(word) for word in words)
    return SuperBlock(kind, kernel, width_in, width, stride, inner[0] if inner else 0, number)


def _joined(*numbers: int) -> str:
    return ",".join(map(str, numbers))
