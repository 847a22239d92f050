"""The search space of the elastic NeuMF."""

from __future__ import annotations

import numpy as np
import torch

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, FloatArray
from nasplug.toolkit.elastic.options import require_options
from nasplug_ncf.generated import ITEMS, USERS
from nasplug_ncf.network import NeuMF, Widths, neumf
from nasplug_ncf.supernet import ElasticNeuMF


class Ncf(SearchSpace):
    """NeuMF with elastic tables and an elastic tower (DyNAS, Cummings et al. 2022, appendix D.4).

    Variables: the GMF width, the tower's user and item widths, how many hidden layers, and the
    width of each. With the default options 125 * (8 + 8^2 + .. + 8^6) = 37,449,000 architectures.

    users, items: rows of the tables; None where the task decides, and without one the generated
    set's. widths, hidden: options of the tables' and the layers' widths. layers: at most so many.
    """

    def __init__(
        self,
        users: PositiveInt | None = None,
        items: PositiveInt | None = None,
        widths: tuple[PositiveInt, ...] | list[PositiveInt] = (8, 16, 32, 64, 128),
        hidden: tuple[PositiveInt, ...] | list[PositiveInt] = (8, 16, 32, 64, 128, 256, 512, 1024),
        layers: PositiveInt = 6,
    ) -> None:
        self.users = USERS if users is None else users
        self.items = ITEMS if items is None else items
        self.widths = tuple(widths)
        self.hidden = tuple(hidden)
        self.layers = layers
        for name in ("users", "items", "layers"):
            if getattr(self, name) < 1:
                raise NasplugError(f"`{name} >= 1` must hold, but got {getattr(self, name)}")
        require_options(self, ("widths", "hidden"))
        depths = tuple(range(1, layers + 1))
        self._variables = (
            Variable("gmf_factors", self.widths),
            Variable("mlp_user_width", self.widths),
            Variable("mlp_item_width", self.widths),
            Variable("layers", depths),
            *(
                Variable(f"hidden{k}", self.hidden, when={"layers": depths[k - 1 :]})
                for k in depths
            ),
        )

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Three table widths, the number of layers, and the layers' widths."""
        return self._variables

    def build(self, arch: Architecture) -> NeuMF:
        """A stand-alone NeuMF with fresh weights."""
        return neumf(self.users, self.items, self.decode(arch))

    def supernet(self) -> ElasticNeuMF:
        """The elastic NeuMF with fresh weights, the largest sub-network active."""
        top = max(self.widths)
        largest = Widths(top, top, top, (max(self.hidden),) * self.layers)
        return ElasticNeuMF(self.users, self.items, largest, self.decode)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """User and item indices, each of shape (batch_size,), spread over the tables."""
        place = torch.arange(batch_size)
        return place % self.users, place * 7919 % self.items

    def decode(self, arch: Architecture) -> Widths:
        """The widths that the option indices of `arch` stand for."""
        gmf, user, item, layers, *hidden = (
            v.options[i] for v, i in zip(self.variables, arch, strict=True)
        )
        return Widths(gmf, user, item, tuple(hidden[:layers]))

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """Exact, each of shape (n,).

        `params`: all weights. `params_dense`: those outside the four tables, which alone do not
        grow with the users and items. `macs`: multiply-adds of the linear layers for one scored
        pair; looking up a row and the element-wise GMF product count as none.
        """
        genes = np.asarray(archs, np.int64)
        values = np.stack(
            [np.array(v.options)[column] for v, column in zip(self.variables, genes.T, strict=True)]
        )
        gmf, user, item, layers = values[:4]
        fan_in = user + item
        macs = np.zeros(len(genes), np.int64)
        biases = np.ones(len(genes), np.int64)
        for k, width in enumerate(values[4:]):
            on = layers > k
            macs += np.where(on, fan_in * width, 0)
            biases += np.where(on, width, 0)
            fan_in = np.where(on, width, fan_in)
        macs += fan_in + gmf
        tables = self.users * (gmf + user) + self.items * (gmf + item)
        return {
            "params": (tables + macs + biases).astype(float),
            "params_dense": (macs + biases).astype(float),
            "macs": macs.astype(float),
        }
