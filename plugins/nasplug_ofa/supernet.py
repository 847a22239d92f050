"""The super-network of the once-for-all spaces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol, final

from torch import Tensor, nn

from nasplug import Architecture, SuperNetwork
from nasplug.elastic import extract
from nasplug_ofa.weights import use_published_names


class Layout(Protocol):
    """What a space knows of its elastic network."""

    def activate(self, network: nn.Module, arch: Architecture) -> None:
        """Set every elastic layer as `arch` wants it."""

    def sort_channels(self, network: nn.Module, trained: int) -> None:
        """Move the most important channels to the front."""


@final
class OfaSuperNetwork(SuperNetwork, nn.Module):
    """All sub-networks of a space in one set of weights.

    `parts` are run in their order, and name the parameters; `layout` sets their elastic layers.
    `published` is the address of weights that fit, if there are any; `load_state_dict` takes them
    in either key style.
    """

    def __init__(
        self,
        layout: Layout,
        parts: Mapping[str, nn.Module],
        largest: Architecture,
        published: str | None,
    ) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.layout = layout
        self.published = published
        use_published_names(self)
        self.activate(largest)

    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`."""
        self.layout.activate(self, arch)
        self.arch = tuple(arch)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, height, width) -> logits (n, num_classes)."""
        for part in self.children():
            x = part(x)
        return x

    def extract(self, arch: Architecture) -> nn.Sequential:
        """The plain network of `arch`, in the mode of this one."""
        before = self.arch
        self.activate(arch)
        parts = OrderedDict((name, extract(part)) for name, part in self.named_children())
        self.activate(before)
        return nn.Sequential(parts).train(self.training)

    def sort_channels(self, trained: int = 0) -> None:
        """Move every block's most important inner channels to the front.

        `trained` is the number of expand ratios below the largest whose sub-networks are trained
        already: their channels stay theirs.
        """
        self.layout.sort_channels(self, trained)
