"""The elastic NeuMF: one set of weights for every architecture of the space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from nasplug import SuperNetwork
from nasplug.contracts.types import Architecture
from nasplug_ncf.network import NeuMF, Widths


class ElasticNeuMF(SuperNetwork, nn.Module):
    """A NeuMF of the greatest widths, of which sub-networks take leading slices.

    Where two parts meet (user and item vectors before the tower, tower and GMF before the logit),
    each part keeps its own columns of the weight and takes the leading ones of these: a wider user
    table never moves the item columns.

    The tower's weights are stored as standard normals and used times sqrt(2 / inputs), those of its
    logit times sqrt(1 / inputs) (the "neural tangent" scaling, Jacot et al. 2018), so that signals
    keep their size at every width, and a step of Adam moves a wide layer less than a narrow one.
    With weights stored as they are used, the columns that only wide layers have, rarely active, are
    thrown about by their few large steps. Extracted networks hold the weights as they are used.
    """

    def __init__(
        self,
        users: int,
        items: int,
        largest: Widths,
        widths_of: Callable[[Architecture], Widths],
    ) -> None:
        super().__init__()
        self.users, self.items, self.largest = users, items, largest
        self.widths = largest
        self.widths_of = widths_of
        self.full = NeuMF(users, items, largest)
        for layer in map(_linear, self.full.tower):
            nn.init.normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.full.output.weight[:, : max(largest.hidden)].detach())

    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`."""
        self.widths = self.widths_of(arch)

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """The active sub-network's logits, shape (b,), for indices of shape (b,)."""
        full, widths = self.full, self.widths
        # Whole rows are looked up, then cut: slicing the tables first would cost a second gradient
        # of the tables' size.
        user = full.mlp_user(users)[:, : widths.user]
        item = full.mlp_item(items)[:, : widths.item]
        hidden = torch.cat([user, item], dim=-1)
        for weight, bias in self._tower(widths):
            hidden = functional.linear(hidden, weight, bias).relu()
        product = full.gmf_user(users)[:, : widths.gmf] * full.gmf_item(items)[:, : widths.gmf]
        merged = torch.cat([hidden, product], dim=-1)
        return functional.linear(merged, self._output(widths), full.output.bias).squeeze(-1)

    def extract(self, arch: Architecture) -> NeuMF:
        """A stand-alone copy of the sub-network of `arch`."""
        widths, full = self.widths_of(arch), self.full
        with torch.device("meta"):
            alone = NeuMF(self.users, self.items, widths)
        weights = {
            "gmf_user.weight": full.gmf_user.weight[:, : widths.gmf],
            "gmf_item.weight": full.gmf_item.weight[:, : widths.gmf],
            "mlp_user.weight": full.mlp_user.weight[:, : widths.user],
            "mlp_item.weight": full.mlp_item.weight[:, : widths.item],
            "output.weight": self._output(widths),
            "output.bias": full.output.bias,
        }
        for k, (weight, bias) in enumerate(self._tower(widths)):
            weights |= {f"tower.{k}.weight": weight, f"tower.{k}.bias": bias}
        copies = {
            name: weight.detach().clone(memory_format=torch.contiguous_format)
            for name, weight in weights.items()
        }
        alone.load_state_dict(copies, assign=True)
        return alone.train(self.training)

    def _tower(self, widths: Widths) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weight and bias of each active layer."""
        layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        fan_in = 0
        for layer, fan_out in zip(map(_linear, self.full.tower), widths.hidden, strict=False):
            weight = layer.weight[:fan_out]
            if layers:
                weight = weight[:, :fan_in]
            else:
                user, item = weight.split_with_sizes([self.largest.user, self.largest.item], dim=1)
                weight = torch.cat([user[:, : widths.user], item[:, : widths.item]], dim=1)
            layers.append((weight * (2 / weight.shape[1]) ** 0.5, layer.bias[:fan_out]))
            fan_in = fan_out
        return layers

    def _output(self, widths: Widths) -> torch.Tensor:
        """The logit's weight, for the last active layer and the GMF product."""
        sizes = [max(self.largest.hidden), self.largest.gmf]
        tower, product = self.full.output.weight.split_with_sizes(sizes, dim=1)
        tower = tower[:, : widths.hidden[-1]] * widths.hidden[-1] ** -0.5
        return torch.cat([tower, product[:, : widths.gmf]], dim=1)


def _linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module
