"""Exact costs of composed networks, in closed form: every layer's formula, for many architectures.

How often each layer is applied (its output's pixels, the tokens, the pairs of attention) does not
depend on its widths, and is seen once, in a forward pass of the largest network. That this holds, and
that no arithmetic is done outside of layers, is checked by counting on networks of other sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.types import Architecture, Archs, FloatArray
from nasplug.toolkit.elastic.layer import Count, Elastic, extract
from nasplug.toolkit.elastic.plan import Part, Plan, Setting
from nasplug.toolkit.networks.counting import multiply_adds, parameters


@final
class Costs:
    """`params` and `macs` of a model's networks.

    Args:
        model: The elastic model; its active architecture is left as the last of `checked`.
        plan: Its plan.
        inputs: One example.
        checked: Architectures whose costs are counted too, the first being the largest; an error
            where they differ.
    """

    def __init__(
        self, model: nn.Module, plan: Plan, inputs: Inputs, checked: Sequence[Architecture]
    ) -> None:
        self.plan = plan
        plan.activate(checked[0])
        self._seen = _trace(model, plan.parts, inputs)
        self._parts = [(part, self._sizes(part)) for part in plan.parts]
        counted_already: set[int] = set()
        self._weights: list[list[str]] = []
        for part in plan.parts:
            own = _own(part.module)
            self._weights.append([n for n, p in own.items() if id(p) not in counted_already])
            counted_already |= {id(p) for p in own.values()}
        found = self(checked)
        for i, arch in enumerate(checked):
            plan.activate(arch)
            network = extract(model)
            counted = parameters(network), multiply_adds(network, inputs)
            if counted != (found["params"][i], found["macs"][i]):
                raise NasplugError(
                    f"the costs of {type(model).__name__} follow from its layers only where layers do all "
                    f"the arithmetic, on inputs of the same size in every network: {arch} has params and "
                    f"macs {counted}, but its layers {found['params'][i]:.0f} and {found['macs'][i]:.0f}; "
                    "override `costs` in the space"
                )

    def __call__(self, archs: Archs) -> dict[str, FloatArray]:
        """Both, shape (n,)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.plan.variables))
        params, macs = np.zeros(len(genes), np.int64), np.zeros(len(genes), np.int64)
        for number, (part, sizes) in enumerate(self._parts):
            values = {name: setting.many(genes) for name, setting in sizes.items()}
            on = self.plan.running(part, genes)
            params += on * self._params(number, part, values)
            macs += on * self._macs(part, values)
        return {"params": params.astype(float), "macs": macs.astype(float)}

    def _sizes(self, part: Part) -> dict[str, Setting]:
        """Every size of a layer, those that are fixed too."""
        if not isinstance(part.module, Elastic):
            return {}
        layer = part.module
        return {
            name: Setting(layer.sizes[name], self.plan.places)
            if name in layer.sizes
            else Setting(sum(width) if isinstance(width, tuple) else width, {})
            for name, width in layer.full
        }

    def _params(self, number: int, part: Part, sizes: dict[str, Count]) -> Count:
        """Weights that no earlier part has, and that the plain layer has."""
        own, layer = self._weights[number], part.module
        if not isinstance(layer, Elastic):
            return sum(layer.get_parameter(name).numel() for name in own)
        sliced = {name for name, _ in layer.axes}
        return sum((layer.numel(name, sizes) for name in own if name in sliced), 0)

    def _macs(self, part: Part, sizes: dict[str, Count]) -> Count:
        seen = self._seen[id(part.module)]
        return part.module.macs(sizes, seen) if isinstance(part.module, Elastic) else seen


def _own(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are counted with a part: its own, or all where nothing inside is elastic."""
    inner = any(isinstance(m, Elastic) for m in module.modules())
    return dict(module.named_parameters(recurse=not inner))


@torch.no_grad()
def _trace(model: nn.Module, parts: Sequence[Part], inputs: Inputs) -> dict[int, int]:
    """How often each elastic layer is applied, and the multiply-adds of every other part, by id."""
    seen = dict.fromkeys((id(part.module) for part in parts), 0)
    calls: list[tuple[nn.Module, Inputs]] = []

    def record(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if isinstance(module, Elastic):
            seen[id(module)] += module.positions(args, kwargs, output)
        elif not any(isinstance(inner, Elastic) for inner in module.modules()):
            calls.append((module, (*args, *kwargs.values()) if args else kwargs))

    modes = {module: module.training for module in model.modules()}
    model.eval()
    with ExitStack() as stack:
        for part in parts:
            handle = part.module.register_forward_hook(record, with_kwargs=True)
            stack.callback(handle.remove)
        call(model, inputs)
    for module, args in calls:
        if any(True for _ in module.parameters()):
            seen[id(module)] += multiply_adds(module, args)
    for module, training in modes.items():
        module.training = training
    return seen
