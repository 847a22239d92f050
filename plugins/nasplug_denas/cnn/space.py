"""The search space of residual networks around one, and its super-network."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
import torch
from torch import nn

from nasplug import Architecture, NasplugError, PositiveFloat, PositiveInt, Variable
from nasplug.contracts.types import Archs, FloatArray
from nasplug.elastic import Choice, Derived, ElasticSpace, Sized
from nasplug_denas.cnn import plainnet
from nasplug_denas.cnn.costs import Cost, block_cost, conv_cost, linear_cost, reduced
from nasplug_denas.cnn.network import (
    ElasticKinds,
    initialise,
    plain_network,
    sublayers,
    whole_network,
)
from nasplug_denas.cnn.plainnet import SuperBlock

Kinds = tuple[Literal["basic", "bottleneck"], ...] | list[Literal["basic", "bottleneck"]]
Kernels = tuple[Literal[3, 5, 7], ...] | list[Literal[3, 5, 7]]
Ratios = tuple[PositiveFloat, ...] | list[PositiveFloat]
CLASSES, SIZE, CHANNELS = 100, 32, 3
"""Where neither the user nor a task says: those of DE-NAS's search."""
DIVISOR, NARROWEST, WIDEST = 8, 8, 2048
"""Of options of channels, as published."""
SMALL = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,16,1)SuperResK3K3(16,32,2,16,1)"
    "SuperConvK1BNRELU(32,64,1,1)"
)
"""A network for images of some ten pixels a side."""


@final
class DenasCnn(ElasticSpace):
    """Residual networks around one: kind, kernel, widths and sub-layers of every block.

    DE-NAS (after Lin et al., Zen-NAS, ICCV 2021) moves from a network to others by replacing a
    block: by one of another kind or kernel, of channels that are so many times the old ones, rounded
    to a multiple of 8, and of up to two sub-layers more or fewer. This space has all networks in
    which every block of `structure` was so replaced at most once; another `structure` moves it.
    Strides stay, and of the first and the last block all but the channels.

    Costs: `params`, `macs` and `layers`, the sub-layers of all blocks.

    Args:
        num_classes: Outputs; None: as the task says, without one 100.
        image_size: Height and width in pixels; None: as the task says, without one 32.
        in_channels: Channels of the images; None: as the task says, without one 3. The first number
            of a PlainNet string stands for it, whatever it is.
        structure: The PlainNet string of the network in the middle.
        kinds: Options of each residual block: "basic", two convolutions beside a shortcut, or
            "bottleneck", two times three of which the outer ones are 1 x 1.
        kernels: Options of each residual block.
        ratios: Options of a block's channels, and of those inside it, relative to the structure's.
        sublayer_changes: Options of how many sub-layers a residual block has more than the
            structure's; at least one stays.
        zero_last_norm: Whether the last batch norm beside a shortcut starts at 0, as published.
    """

    def __init__(
        self,
        num_classes: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        structure: str = SMALL,
        kinds: Kinds = ("bottleneck", "basic"),
        kernels: Kernels = (3, 5),
        ratios: Ratios = (0.5, 1.0, 1.5),
        sublayer_changes: tuple[int, ...] | list[int] = (0, 1),
        zero_last_norm: bool = True,
    ) -> None:
        self.num_classes = num_classes or CLASSES
        self.image_size = image_size or SIZE
        self.in_channels = in_channels or CHANNELS
        self.structure = structure
        self.kinds = tuple(kinds)
        self.kernels = tuple(kernels)
        self.ratios = tuple(ratios)
        self.sublayer_changes = tuple(sublayer_changes)
        self.zero_last_norm = zero_last_norm
        for name in ("kinds", "kernels", "ratios", "sublayer_changes"):
            options = getattr(self, name)
            if not options or len(set(options)) < len(options):
                raise NasplugError(f"{name} must be distinct and at least one, but got {options}")
        if min(self.ratios) <= 0:
            raise NasplugError(f"ratios must be positive, but got {self.ratios}")
        _ = self._blocks

    @cached_property
    def _blocks(self) -> tuple[SuperBlock, ...]:
        """Those of the structure."""
        blocks = self._parsed(self.structure)
        first, *middle, last = blocks if len(blocks) > 1 else (*blocks, *blocks)
        kinds = first.kind, last.kind, *(block.kind for block in middle)
        if kinds[:2] != ("conv", "conv") or not middle or "conv" in kinds[2:]:
            raise NasplugError(
                "structure must begin and end with a SuperConv block and have residual ones between, but "
                f"got {self.structure}"
            )
        return blocks

    def _parsed(self, text: str) -> tuple[SuperBlock, ...]:
        first, *others = plainnet.parse(text)
        return (replace(first, in_channels=self.in_channels), *others)

    # ---- the model -----------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Channels of stem and tail; of every block kind, kernel, channels, bottleneck, sub-layers."""
        return self._variables

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        # A block has each of its variables whatever kind it is of: no condition holds more than that.
        return tuple(Variable(v.name, v.options) for v in super().variables)

    def model(self) -> nn.Sequential:
        """The elastic network."""
        stem, *middle, tail = self._blocks
        width: Sized = Choice("stem.channels", self._channels(stem.out_channels))
        rows: list[nn.Module] = [self._ends(stem, self.in_channels, width)]
        for number, block in enumerate(middle, 1):
            wider = Choice(f"block{number}.channels", self._channels(block.out_channels))
            rows.append(self._block(f"block{number}", block, width, wider))
            width = wider
        widest = Choice("tail.channels", self._channels(tail.out_channels))
        rows.append(self._ends(tail, width, widest))
        return whole_network(rows, widest, self.num_classes)

    def _ends(self, block: SuperBlock, width_in: Sized, width: Sized) -> nn.Module:
        b = block
        return nn.Sequential(
            *sublayers(b.kind, b.kernel, width_in, width, b.stride, 0, b.sublayers)
        )

    def _block(self, name: str, block: SuperBlock, width_in: Sized, width: Sized) -> ElasticKinds:
        kind = Choice(f"{name}.kind", self.kinds)
        kernel = Choice(f"{name}.kernel", self.kernels)
        inner = Choice(f"{name}.bottleneck", self._channels(block.bottleneck))
        numbers = sorted({max(1, block.sublayers + more) for more in self.sublayer_changes})
        rows: dict[str, list[nn.Module]] = {
            one: sublayers(one, kernel, width_in, width, block.stride, inner, numbers[-1])
            for one in self.kinds
        }
        chosen: dict[str, Sized] = {one: Derived(_Is(one), (kind,)) for one in self.kinds}
        return ElasticKinds(rows, Choice(f"{name}.sublayers", tuple(numbers)), chosen)

    def _channels(self, seed: int) -> tuple[int, ...]:
        """The options of channels; python rounds halves to even, as in the original."""
        found = {DIVISOR * round(seed * ratio / DIVISOR) for ratio in self.ratios}
        found = {min(WIDEST, max(NARROWEST, width)) for width in found}
        return tuple(sorted(found | {seed} if 1.0 in self.ratios else found))

    def initialise(self, network: nn.Module) -> None:
        """As Zen-NAS does."""
        initialise(network, self.zero_last_norm)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """One image tensor (batch_size, in_channels, image_size, image_size), always the same."""
        generator = torch.Generator().manual_seed(0)
        size = self.image_size
        return (torch.randn(batch_size, self.in_channels, size, size, generator=generator),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params`, `macs` (multiply-adds of convolutions and the linear layer) and `layers`, exact,
        shape (n,)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        values: dict[str, Any] = {
            variable.name: np.array(variable.options)[column]
            for variable, column in zip(self.variables, genes.T, strict=True)
        }
        stem, *middle, tail = self._blocks
        width, side = values["stem.channels"], reduced(self.image_size, stem.stride)
        total = _row(self.in_channels, width, stem, side)
        layers = np.full(len(genes), stem.sublayers + tail.sublayers)
        for number, block in enumerate(middle, 1):
            prefix = f"block{number}."
            sizes = {
                name[len(prefix) :]: v for name, v in values.items() if name.startswith(prefix)
            }
            sizes["basic"] = (sizes.pop("kind") == "basic").astype(np.int64)
            total = total.plus(block_cost(sizes, width, side, block.stride))
            layers = layers + sizes["sublayers"]
            width, side = sizes["channels"], reduced(side, block.stride)
        last = values["tail.channels"]
        total = total.plus(_row(width, last, tail, reduced(side, tail.stride)))
        total = total.plus(linear_cost(last, self.num_classes))
        columns = {"params": total.params, "macs": total.macs, "layers": layers}
        return {name: np.asarray(column, float) for name, column in columns.items()}

    # ---- published notation --------------------------------------------------------------------

    def from_plainnet(self, text: str) -> Architecture:
        """The architecture of a PlainNet string; an error where it is outside of this space, see
        `plainnet_network`."""
        blocks = self._parsed(text)
        if len(blocks) != len(self._blocks):
            raise NasplugError(
                f"a network of this space has {len(self._blocks)} blocks, but got {len(blocks)}; to search "
                f"around it take \"space.structure='{plainnet.text(blocks)}'\""
            )
        values: dict[str, Any] = {}
        for number, (one, own) in enumerate(zip(blocks, self._blocks, strict=True)):
            fixed = ("stride",) if number % (len(blocks) - 1) else ENDS
            for name in fixed:
                if getattr(one, name) != getattr(own, name):
                    raise NasplugError(
                        f"block {number + 1} must have {name} {getattr(own, name)}, but got {one}"
                    )
            values.update(_values(number, len(blocks), one))
        return self.arch(values)

    def to_plainnet(self, arch: Architecture) -> str:
        """The PlainNet string of `arch`."""
        return plainnet.text(self.blocks(arch))

    def blocks(self, arch: Architecture) -> list[SuperBlock]:
        """The super-blocks of `arch`."""
        config, found, width = self.config(arch), [], self.in_channels
        for number, own in enumerate(self._blocks):
            name = _name(number, len(self._blocks))
            chosen = {
                "out_channels" if key == "channels" else key: config[f"{name}.{key}"]
                for key in ("kind", "kernel", "channels", "bottleneck", "sublayers")
                if f"{name}.{key}" in config
            }
            found.append(replace(own, in_channels=width, **chosen))
            width = found[-1].out_channels
        return found

    def plainnet_network(self, text: str) -> nn.Module:
        """The network of any PlainNet string, in this space or not, with fresh weights as `build` draws
        them, in training mode."""
        network = plain_network(self._parsed(text), self.num_classes)
        self.initialise(network)
        return network.train()


ENDS = ("kind", "kernel", "stride", "sublayers")
"""What stays of the first and the last block."""


@final
class _Is:
    """1 for this kind, 0 for another."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, kind: str) -> int:
        return int(kind == self.kind)


def _row(width_in: Any, width: Any, block: SuperBlock, side: int) -> Cost:
    """Of a SuperConv block."""
    first = conv_cost(width_in, width, block.kernel, side)
    return first.plus(conv_cost(width, width, block.kernel, side).times(block.sublayers - 1))


def _name(number: int, blocks: int) -> str:
    """What the variables of a block begin with."""
    return {0: "stem", blocks - 1: "tail"}.get(number, f"block{number}")


def _values(number: int, blocks: int, block: SuperBlock) -> dict[str, Any]:
    """The values of a block's variables."""
    name = _name(number, blocks)
    found: dict[str, Any] = {f"{name}.channels": block.out_channels}
    if name.startswith("block"):
        for key in ("kind", "kernel", "bottleneck", "sublayers"):
            found[f"{name}.{key}"] = getattr(block, key)
    return found
