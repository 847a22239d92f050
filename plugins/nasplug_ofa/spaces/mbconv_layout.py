"""The stages of a once-for-all MBConv network: design variables, settings of blocks, exact costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from nasplug import Architecture, Variable
from nasplug.contracts.types import Archs, FloatArray, IntArray
from nasplug.elastic import ElasticSequential
from nasplug_ofa.layers.costs import Cost, conv_cost, norm_cost, reduced, squeeze_excite_cost, total
from nasplug_ofa.layers.layer_factory import ELASTIC, PLAIN
from nasplug_ofa.layers.mbconv import Block, activate_mbconv, mbconv
from nasplug_ofa.layers.sorting import sort_mbconv
from nasplug_ofa.validation import entries, entry

KERNELS = (3, 5, 7)
EXPANDS = (3, 4, 6)


@dataclass(frozen=True)
class Stage:
    """Blocks of one output width; the first has the stride."""

    width: int
    depths: tuple[int, ...]
    stride: int
    activation: Callable[[], nn.Module]
    squeeze: bool = False


@dataclass(frozen=True)
class MBConvLayout:
    """The blocks of a network: the first, fixed (3x3, ratio 1), then the elastic stages.

    `image_size` is that of the first block's input.
    """

    first: Block
    stages: tuple[Stage, ...]
    image_size: int

    @cached_property
    def slots(self) -> tuple[tuple[int, int, Block], ...]:
        """Every elastic block: its stage, its place in it (both from 0), and what is fixed about it."""
        slots = []
        width = self.first.width_out
        for s, stage in enumerate(self.stages):
            for place in range(max(stage.depths)):
                stride = stage.stride if place == 0 else 1
                block = Block(
                    width_in=width,
                    width_out=stage.width,
                    stride=stride,
                    activation=stage.activation,
                    squeeze=stage.squeeze,
                    shortcut=stride == 1 and width == stage.width,
                    eps=self.first.eps,
                )
                slots.append((s, place, block))
                width = stage.width
        return tuple(slots)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """`stageS.depth`, then `stageS.blockB.kernel` and `.expand`, stage by stage, from 1."""
        found = []
        for s, place, _ in self.slots:
            depth, depths = f"stage{s + 1}.depth", self.stages[s].depths
            block = f"stage{s + 1}.block{place + 1}"
            if place == 0 and len(depths) > 1:
                found.append(Variable(depth, depths))
            when = {} if place < min(depths) else {depth: tuple(d for d in depths if d > place)}
            found.append(Variable(f"{block}.kernel", KERNELS, when))
            found.append(Variable(f"{block}.expand", EXPANDS, when))
        return tuple(found)

    @cached_property
    def _columns(self) -> tuple[list[int], list[int | None]]:
        """The column of every block's kernel (its expand ratio is next), and of every stage's depth."""
        place = {variable.name: j for j, variable in enumerate(self.variables)}
        kernels = [place[f"stage{s + 1}.block{b + 1}.kernel"] for s, b, _ in self.slots]
        return kernels, [place.get(f"stage{s + 1}.depth") for s in range(len(self.stages))]

    def depths(self, arch: Architecture) -> list[int]:
        """How many blocks every stage has."""
        return [
            stage.depths[0 if column is None else arch[column]]
            for stage, column in zip(self.stages, self._columns[1], strict=True)
        ]

    def settings(self, arch: Architecture) -> Iterator[tuple[int, int] | None]:
        """For every slot its kernel and expand ratio; None where the block is left out."""
        depths = self.depths(arch)
        for (s, place, _), j in zip(self.slots, self._columns[0], strict=True):
            there = place < depths[s]
            yield (KERNELS[arch[j]], EXPANDS[arch[j + 1]]) if there else None

    def build(self, arch: Architecture) -> nn.Sequential:
        """The plain blocks of `arch`."""
        slots = zip(self.slots, self.settings(arch), strict=True)
        blocks = [mbconv(PLAIN, block, *setting) for (_, _, block), setting in slots if setting]
        return nn.Sequential(mbconv(PLAIN, self.first, 3, 1), *blocks)

    def elastic(self) -> ElasticSequential:
        """The fixed block, then an elastic one for every slot."""
        blocks = [mbconv(ELASTIC, block, KERNELS[-1], EXPANDS[-1]) for _, _, block in self.slots]
        return ElasticSequential(mbconv(PLAIN, self.first, 3, 1), *blocks)

    def activate(self, network: Any, arch: Architecture) -> None:
        """Run the blocks of `arch` in an elastic network, each with its kernel and inner width."""
        running = [0]
        slots = zip(self.slots, self.settings(arch), strict=True)
        for place, ((_, _, block), setting) in enumerate(slots, start=1):
            if setting is not None:
                running.append(place)
                activate_mbconv(network.blocks[place], block, *setting)
        network.blocks.activate(running)

    def sort_channels(self, network: Any, trained: int) -> None:
        """Sort the inner channels of every elastic block."""
        for place, (_, _, block) in enumerate(self.slots, start=1):
            ratios = EXPANDS[len(EXPANDS) - 1 - trained : -1]
            sort_mbconv(network.blocks[place], [block.middle(ratio) for ratio in ratios])

    # ---- costs -----------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> tuple[IntArray, int]:
        """Costs of every slot, shape (slots, kernels * expands, 2), and the last stage's image size."""
        size = reduced(self.image_size, self.first.stride)
        tables = []
        for _, _, block in self.slots:
            tables.append([block_cost(block, k, e, size) for k in KERNELS for e in EXPANDS])
            size = reduced(size, block.stride)
        return np.array(tables, np.int64), size

    @property
    def last_size(self) -> int:
        """Height and width of the last stage's output."""
        return self._tables[1]

    def costs(self, archs: Archs, fixed: Cost) -> dict[str, FloatArray]:
        """Params and macs of architectures, shape (n,), given those of all that is not a block."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        kernels, depths = self._columns
        fixed = total(fixed, block_cost(self.first, 3, 1, self.image_size))
        first = np.array(kernels)
        settings = genes[:, first] * len(EXPANDS) + genes[:, first + 1]
        costs = self._tables[0][np.arange(len(first)), settings]
        for i, (s, place, _) in enumerate(self.slots):
            column = depths[s]
            if column is not None and place >= min(self.stages[s].depths):
                there = np.array(self.stages[s].depths) > place
                costs[:, i] *= there[genes[:, column], None]
        found = costs.sum(axis=1) + np.array(fixed, np.int64)
        return {"params": found[:, 0].astype(float), "macs": found[:, 1].astype(float)}

    # ---- the published way to write an architecture ------------------------------------------------

    def from_ofa(self, config: Mapping[str, Any]) -> dict[str, int]:
        """Variable names and values of a published configuration {"ks": .., "e": .., "d": ..}.

        `ks` and `e` have an entry a slot, four a stage, whether used or not; `d` one a stage. Other
        keys ("wid", "r") are ignored.
        """
        kernels = entries(config, "ks", len(self.slots))
        expands = entries(config, "e", len(self.slots))
        depths = entries(config, "d", len(self.stages))
        values: dict[str, int] = {}
        for (s, place, _), kernel, expand in zip(self.slots, kernels, expands, strict=True):
            depth = entry(depths, "d", s, self.stages[s].depths)
            if len(self.stages[s].depths) > 1:
                values[f"stage{s + 1}.depth"] = depth
            if place < depth:
                values[f"stage{s + 1}.block{place + 1}.kernel"] = kernel
                values[f"stage{s + 1}.block{place + 1}.expand"] = expand
        return values

    def to_ofa(self, arch: Architecture) -> dict[str, list[int]]:
        """The published configuration of an architecture; unused slots hold the smallest values."""
        settings = [s or (KERNELS[0], EXPANDS[0]) for s in self.settings(arch)]
        return {
            "ks": [kernel for kernel, _ in settings],
            "e": [expand for _, expand in settings],
            "d": self.depths(arch),
        }


def block_cost(block: Block, kernel: int, expand: float, size: int) -> Cost:
    """Params and macs of an MBConv block on an input of `size` x `size`."""
    middle, after = block.middle(expand), reduced(size, block.stride)
    parts = [
        conv_cost(1, middle, after, kernel),
        norm_cost(middle),
        conv_cost(middle, block.width_out, after),
        norm_cost(block.width_out),
    ]
    if expand != 1:
        parts += [conv_cost(block.width_in, middle, size), norm_cost(middle)]
    if block.squeeze:
        parts.append(squeeze_excite_cost(middle))
    return total(*parts)
