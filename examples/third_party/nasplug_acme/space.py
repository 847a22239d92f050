"""A space of perceptrons for small images."""

from itertools import pairwise

import torch
from torch import nn

from nasplug import SearchSpace, Variable


class AcmeSpace(SearchSpace):
    """One to three hidden layers, each of one of `widths` units.

    None for a size means the task's, where a task is used, and else that of the digits.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        in_channels: int | None = None,
        image_size: int | None = None,
        widths: list[int] = (16, 32, 64, 128),
    ) -> None:
        self.num_classes, self.in_channels = num_classes or 10, in_channels or 1
        self.image_size, self.widths = image_size or 8, list(widths)

    @property
    def variables(self):
        """The depth, and a width a layer; layers beyond the depth take no part."""
        widths = tuple(self.widths)
        return (
            Variable("depth", (1, 2, 3)),
            Variable("width1", widths),
            Variable("width2", widths, when={"depth": (2, 3)}),
            Variable("width3", widths, when={"depth": (3,)}),
        )

    def build(self, arch):
        """The perceptron of `arch`, the option index of every variable."""
        pixels = self.in_channels * self.image_size**2
        sizes = [pixels, *(self.widths[i] for i in arch[1 : arch[0] + 2])]
        hidden = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], self.num_classes))

    def example_inputs(self, batch_size):
        """Images."""
        return (torch.zeros(batch_size, self.in_channels, self.image_size, self.image_size),)
