"""The macro space of TransNAS-Bench-101 (Duan et al., CVPR 2021)."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray
from nasplug_tables.spaces.transnasbench101_network import (
    SMALLER,
    WIDER,
    Basic,
    network,
    places,
    stem_costs,
    stem_sides,
)

KINDS = ("normal", "wider", "smaller", "both")
"""What a module does: nothing, double the channels, halve the image, or both; digits 1 to 4."""

MODULES = (4, 5, 6)
DOUBLINGS, HALVINGS = (1, 3), (1, 4)
"""At least, at most."""


class TransNasBench101Macro(SearchSpace):
    """Four to six modules of two residual blocks; each may double the channels or halve the image.

    A network halves the image one to four times and doubles the channels one to three times, which
    leaves 3,256 architectures. A stem quarters the image before.
    """

    def __init__(
        self,
        channels: PositiveInt = 64,
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
    ) -> None:
        if channels % 2:
            raise NasplugError(f"channels must be even, but got {channels}")
        self.channels = channels
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self._classes, self._inputs, self._size = (
            num_classes or 75,
            in_channels or 3,
            image_size or 256,
        )

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The number of modules, then the kind of each module."""
        count = Variable("modules", MODULES)
        modules = [
            Variable(
                f"module{n}",
                KINDS,
                {"modules": tuple(m for m in MODULES if m >= n)} if n > MODULES[0] else (),
            )
            for n in range(1, MODULES[-1] + 1)
        ]
        return (count, *modules)

    def is_valid(self, archs: Archs) -> BoolArray:
        """Whether channels are doubled and the image is halved an allowed number of times; shape
        (n,)."""
        genes = np.asarray(archs, np.int64)
        digits = np.where(self.active(genes), genes, 0)[:, 1:] + 1
        doubled, halved = (np.isin(digits, kinds).sum(axis=1) for kinds in (WIDER, SMALLER))
        wide: BoolArray = (doubled >= DOUBLINGS[0]) & (doubled <= DOUBLINGS[1])
        small: BoolArray = (halved >= HALVINGS[0]) & (halved <= HALVINGS[1])
        return np.logical_and(wide, small)

    @property
    def smallest(self) -> Architecture:
        """Four modules, of which the last doubles the channels and halves the image."""
        return self.parse("64-1114-basic")

    @property
    def largest(self) -> Architecture:
        """Six modules: channels are doubled as early as possible, the image is halved in the last."""
        return self.parse("64-222113-basic")

    def _skeleton(self, arch: Architecture) -> list[int]:
        return [gene + 1 for gene in arch[1 : 1 + MODULES[arch[0]]]]

    def build(self, arch: Architecture) -> nn.Module:
        """The network of the benchmark with a linear classifier."""
        return network(self._skeleton(arch), self.channels, self._inputs, self._classes, Basic)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Black images, shape (batch_size, in_channels, image_size, image_size)."""
        return (torch.zeros(batch_size, self._inputs, self._size, self._size),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs`, exact, from the blocks of each network."""
        each = np.array([self._cost(tuple(arch)) for arch in self.canonical(archs).tolist()])
        return {"params": each[:, 0], "macs": each[:, 1]}

    def _cost(self, arch: Architecture) -> tuple[float, float]:
        params, macs = stem_costs(self._inputs, self.channels, self._size)
        width = self.channels
        for place in places(self._skeleton(arch), self.channels, stem_sides(self._size)[1]):
            entering = (9 + place.changes) * place.inputs * place.outputs
            weights = entering + 9 * place.outputs**2
            params += weights + 2 * place.outputs * (2 + place.changes)
            macs += weights * place.side**2
            width = place.outputs
        return params + (width + 1) * self._classes, macs + width * self._classes

    def parse(self, text: str) -> Architecture:
        """The architecture of a string of the benchmark, such as `64-1234-basic`."""
        found = re.fullmatch(r"64-([1-4]{4,6})-basic", text.strip())
        if found:
            genes = [int(digit) - 1 for digit in found[1]]
            arch = (len(genes) - MODULES[0], *genes, *[0] * (MODULES[-1] - len(genes)))
            if self.is_valid([arch])[0]:
                return arch
        raise NasplugError(
            f"a network must be written like 64-1234-basic, of 4 to 6 digits of 1 to 4 "
            f"({', '.join(KINDS)}), {DOUBLINGS[0]} to {DOUBLINGS[1]} times 2 or 4, {HALVINGS[0]} to "
            f"{HALVINGS[1]} times 3 or 4, but got {text!r}"
        )

    def format(self, arch: Architecture) -> str:
        """The benchmark's string of an architecture."""
        return f"64-{''.join(map(str, self._skeleton(arch)))}-basic"
