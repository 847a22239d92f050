"""SuperNetwork: one set of weights, many sub-networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.types import Architecture

if TYPE_CHECKING:
    import torch
    from torch import nn


class SuperNetwork(ABC):
    """The weights that all sub-networks of a space share; a class that is also an `nn.Module`.

    Order of calls: `activate(arch)`, then forward as often as wanted; training activates several
    architectures a step, evaluation extracts one. `state_dict` and `load_state_dict` are the
    module's own. A freshly made one has the largest sub-network active.

    >>> class MySuper(SuperNetwork, nn.Module): ...
    """

    @abstractmethod
    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`; weights stay as they are."""

    @abstractmethod
    def extract(self, arch: Architecture) -> nn.Module:
        """A stand-alone copy of the sub-network of `arch`, which shares nothing with this one.

        Its output equals the activated super-network's, its state dict loads into
        `SearchSpace.build(arch)`, and the active architecture stays as it was. Layers that share a
        weight share it in the copy too.

        Where weights are large, build the network in `nasplug.toolkit.networks.weights.without_weights()` and
        hand it copies of the slices with `load_state_dict(.., assign=True)`: none is allocated
        twice. `nasplug.load` builds exported networks so.
        """

    def sort_channels(self, trained: int = 0) -> None:
        """Reorder channels so that leading slices hold the most important ones; the largest
        sub-network's output stays as it was, but for the order of channels where an output's own
        width is elastic. Nothing to do where no width is elastic.

        `trained` is how many of the widths below the greatest were trained already: their channels
        stay in front (Cai et al. 2020).
        """
        return None

    def relax(self, weights: Sequence[torch.Tensor]) -> None:
        """From now on, forward computes a mixture of all sub-networks, until `activate`.

        `weights` holds a tensor for every design variable, shape (options,): how much each option's
        output counts, with its gradient. Options of weight 0 need not be computed; weights of a
        single 1 a variable give the sub-network that `activate` would. An error that names the
        variable where a choice cannot be mixed (Liu et al., "DARTS", ICLR 2019, equation 2).
        """
        raise NasplugError(
            f"{type(self).__name__} cannot be relaxed, as one-shot strategies by gradient need; search "
            "it otherwise, e.g. +strategy=linas or +strategy=spos"
        )
