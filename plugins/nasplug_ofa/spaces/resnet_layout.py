"""The stages of the once-for-all ResNet-50: design variables, widths, exact costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from nasplug import Architecture, Variable
from nasplug.contracts.types import Archs, FloatArray, IntArray
from nasplug.elastic import make_divisible
from nasplug_ofa.layers.bottleneck import (
    Bottleneck,
    activate_bottleneck,
    activate_conv,
    bottleneck_cost,
    conv_norm,
)
from nasplug_ofa.layers.costs import conv_cost, linear_cost, norm_cost, reduced, times, total
from nasplug_ofa.layers.layer_factory import LayerFactory
from nasplug_ofa.layers.plain import Residual
from nasplug_ofa.layers.sorting import sort_bottleneck
from nasplug_ofa.validation import entries, entry

RATIOS = (0.65, 0.8, 1.0)
"""Options of every width, relative to ResNet-50's: the published configurations hold their index."""

EXPANDS = (0.2, 0.25, 0.35)
"""Options of a block's inner width, relative to its output's."""

STRIDES = (1, 2, 2, 2)
DEPTHS = ((2, 3, 4), (2, 3, 4), (4, 5, 6), (2, 3, 4))
STEM = [make_divisible(64 * ratio) for ratio in RATIOS]
STEM_MIDDLE = [make_divisible(width // 2) for width in STEM]
WIDTHS = [[make_divisible(w * ratio) for ratio in RATIOS] for w in (256, 512, 1024, 2048)]
MIDDLES = np.array([[[make_divisible(round(w * e)) for e in EXPANDS] for w in ws] for ws in WIDTHS])
SLOTS = [(stage, place) for stage, depths in enumerate(DEPTHS) for place in range(max(depths))]


class Widths(NamedTuple):
    """What n architectures are made of."""

    residual: IntArray
    """Residual convolutions in the stem, 0 or 1: (n,)."""
    stem_middle: IntArray
    stem: IntArray
    stages: IntArray
    """Output widths, (n, 4)."""
    depths: IntArray
    """Blocks, (n, 4)."""
    middles: IntArray
    """Inner widths, (n, 18), used or not."""


@dataclass(frozen=True)
class ResNetLayout:
    """Stem, 18 block slots and classifier of ResNet-50D, all of elastic width."""

    in_channels: int
    num_classes: int
    image_size: int

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Depths (the stem's: residual convolutions), widths in channels, expand ratios.

        The stem's inner width has two options, since two of the three published ones round to the
        same number of channels.
        """
        found = [
            Variable("stem.depth", (0, 1)),
            Variable("stem.middle_width", tuple(sorted(set(STEM_MIDDLE)))),
            Variable("stem.width", tuple(STEM)),
        ]
        for s, place in SLOTS:
            name, depths = f"stage{s + 1}", DEPTHS[s]
            if place == 0:
                found.append(Variable(f"{name}.depth", depths))
                found.append(Variable(f"{name}.width", tuple(WIDTHS[s])))
            more = tuple(d for d in depths if d > place)
            when = {f"{name}.depth": more} if more != depths else {}
            found.append(Variable(f"{name}.block{place + 1}.expand", EXPANDS, when))
        return tuple(found)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {variable.name: j for j, variable in enumerate(self.variables)}

    def widths(self, archs: Archs) -> Widths:
        """Depths and widths of many architectures."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))

        def index(name: str) -> IntArray:
            return genes[:, self._place[name]]

        def value(name: str) -> IntArray:
            return np.array(self.variables[self._place[name]].options)[index(name)]

        middles = [
            MIDDLES[s, index(f"stage{s + 1}.width"), index(f"stage{s + 1}.block{place + 1}.expand")]
            for s, place in SLOTS
        ]
        return Widths(
            value("stem.depth"),
            value("stem.middle_width"),
            value("stem.width"),
            np.stack([value(f"stage{s + 1}.width") for s in range(4)], axis=1),
            np.stack([value(f"stage{s + 1}.depth") for s in range(4)], axis=1),
            np.stack(middles, axis=1),
        )

    # ---- networks ----------------------------------------------------------------------------------

    def stem(self, arch: Architecture, factory: LayerFactory) -> list[nn.Module]:
        """The stem's convolutions."""
        w = self.widths([arch])
        middle, out = int(w.stem_middle[0]), int(w.stem[0])
        residual = Residual(conv_norm(factory, middle, middle, 3), shortcut=True)
        return [
            conv_norm(factory, self.in_channels, middle, 3, 2),
            *[residual] * int(w.residual[0]),
            conv_norm(factory, middle, out, 3),
        ]

    def blocks(self, arch: Architecture, factory: LayerFactory) -> list[nn.Module]:
        """The blocks of `arch`; with the elastic factory and the largest architecture, all slots."""
        return [
            Bottleneck(factory, *setting, STRIDES[s] if place == 0 else 1, project=place == 0)
            for (s, place), setting in zip(SLOTS, self._settings(arch), strict=True)
            if setting
        ]

    def features(self, arch: Architecture) -> int:
        """The classifier's input width."""
        return int(self.widths([arch]).stages[0, -1])

    def _settings(self, arch: Architecture) -> Iterator[tuple[int, int, int] | None]:
        """For every slot the three widths of its block; None where it is left out."""
        w = self.widths([arch])
        width_in = int(w.stem[0])
        for (s, place), middle in zip(SLOTS, w.middles[0].tolist(), strict=True):
            there = place < w.depths[0, s]
            yield (width_in, middle, int(w.stages[0, s])) if there else None
            width_in = int(w.stages[0, s])

    def activate(self, network: Any, arch: Architecture) -> None:
        """Set the depths and widths of an elastic network."""
        w = self.widths([arch])
        middle, out = int(w.stem_middle[0]), int(w.stem[0])
        first, residual, last = network.input_stem.children()
        activate_conv(first, self.in_channels, middle)
        activate_conv(residual.conv, middle, middle)
        activate_conv(last, middle, out)
        network.input_stem.activate((0, 1, 2) if w.residual[0] else (0, 2))
        settings = list(self._settings(arch))
        for block, setting in zip(network.blocks.children(), settings, strict=True):
            if setting is not None:
                activate_bottleneck(block, *setting)
        network.blocks.activate(i for i, setting in enumerate(settings) if setting is not None)
        network.classifier.linear.activate(self.features(arch))

    def sort_channels(self, network: Any, trained: int) -> None:
        """Sort the inner channels of every block."""
        for (s, _), block in zip(SLOTS, network.blocks.children(), strict=True):
            trained_widths = MIDDLES[s, -1, len(EXPANDS) - 1 - trained : -1]
            sort_bottleneck(block, trained_widths.tolist())

    # ---- costs -------------------------------------------------------------------------------------

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """Params and macs of whole networks, shape (n,)."""
        w = self.widths(archs)
        half = reduced(self.image_size, 2)
        middle = w.stem_middle
        residual = total(conv_cost(middle, middle, half, kernel=3), norm_cost(middle))
        costs = [
            conv_cost(self.in_channels, middle, half, kernel=3),
            norm_cost(middle),
            times(residual, w.residual),
            conv_cost(middle, w.stem, half, kernel=3),
            norm_cost(w.stem),
            linear_cost(w.stages[:, -1], self.num_classes),
        ]
        size, width_in = reduced(half, 2), w.stem
        for j, (s, place) in enumerate(SLOTS):
            stride, width = STRIDES[s] if place == 0 else 1, w.stages[:, s]
            cost = bottleneck_cost(width_in, w.middles[:, j], width, stride, place == 0, size)
            costs.append(times(cost, (place < w.depths[:, s]).astype(np.int64)))
            size, width_in = reduced(size, stride), width
        params, macs = total(*costs)
        return {"params": np.asarray(params, float), "macs": np.asarray(macs, float)}

    # ---- the published way to write an architecture ------------------------------------------------

    def from_ofa(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Variable names and values of a published configuration {"d": .., "e": .., "w": ..}.

        `d`: 2 for the stem's residual convolution, 0 or 1 for none; then the blocks added to each of
        the 4 stages, 0 to 2. `e`: 18 expand ratios, used or not. `w`: 6 indices of widths, of the
        stem inside, of the stem, of the 4 stages. Other keys are ignored.
        """
        depths = entries(config, "d", 5)
        expands = entries(config, "e", len(SLOTS))
        widths = entries(config, "w", 6)
        ratios = [entry(widths, "w", i, range(len(RATIOS))) for i in range(6)]
        values: dict[str, Any] = {
            "stem.depth": entry(depths, "d", 0, (0, 1, 2)) // 2,
            "stem.middle_width": STEM_MIDDLE[ratios[0]],
            "stem.width": STEM[ratios[1]],
        }
        for (s, place), expand in zip(SLOTS, expands, strict=True):
            depth = min(DEPTHS[s]) + entry(depths, "d", s + 1, (0, 1, 2))
            values[f"stage{s + 1}.depth"] = depth
            values[f"stage{s + 1}.width"] = WIDTHS[s][ratios[s + 2]]
            if place < depth:
                values[f"stage{s + 1}.block{place + 1}.expand"] = expand
        return values

    def to_ofa(self, arch: Architecture) -> dict[str, list[Any]]:
        """The published configuration of an architecture; unused slots hold the smallest ratio."""
        w = self.widths([arch])
        expands = [f"stage{s + 1}.block{place + 1}.expand" for s, place in SLOTS]
        return {
            "d": [2 * int(w.residual[0]), *(w.depths[0] - [min(d) for d in DEPTHS]).tolist()],
            "e": [EXPANDS[arch[self._place[name]]] for name in expands],
            "w": [
                STEM_MIDDLE.index(int(w.stem_middle[0])),
                STEM.index(int(w.stem[0])),
                *(WIDTHS[s].index(int(w.stages[0, s])) for s in range(len(WIDTHS))),
            ],
        }
