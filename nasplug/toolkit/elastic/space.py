"""A search space that is one elastic model: its variables, networks, super-network and costs follow."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.supernet import SuperNetwork
from nasplug.contracts.types import Architecture, Archs, FloatArray, Variable
from nasplug.toolkit.elastic.costs import Costs
from nasplug.toolkit.elastic.layer import extract
from nasplug.toolkit.elastic.plan import Plan
from nasplug.toolkit.elastic.sorting import sort_channels
from nasplug.toolkit.networks.nested import named_tensors
from nasplug.toolkit.networks.reordering import change, elastic_axes


class ElasticSpace(SearchSpace):
    """All sub-networks of an elastic model.

    An author writes `model`, which composes elastic layers and gives them a `Choice` (or what follows
    from choices) where a size is to be searched, and `example_inputs`. The rest follows: a
    variable takes part where a layer that it sets runs, `build` gives fresh weights, `supernet` the
    model itself, `costs` each layer's formula.

    The model is a plain torch module otherwise: forward takes sizes from tensors, not from numbers
    that it remembers. `model` is called for every network that is built.
    """

    @abstractmethod
    def model(self) -> nn.Module:
        """The elastic model, with fresh weights drawn from torch's global generator."""

    def initialise(self, network: nn.Module) -> None:
        """Draw the weights of a super-network or a built network anew, where torch's own
        initialisation of each layer is not wanted. Draws from torch's global generator."""
        return None

    @cached_property
    def _plan(self) -> Plan:
        with torch.random.fork_rng(devices=[]):
            return Plan(self.model())

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The model's choices."""
        return self._plan.variables

    def build(self, arch: Architecture) -> nn.Module:
        """A stand-alone network of plain layers with fresh weights."""
        model = self.model()
        Plan(model).activate(arch)
        network = extract(model)
        for module in network.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        self.initialise(network)
        return network.train()

    def supernet(self) -> ElasticSuperNetwork:
        """The model, its largest sub-network active."""
        model = self.model()
        self.initialise(model)
        return ElasticSuperNetwork(model, self.largest, self.example_inputs(2))

    @cached_property
    def _costs(self) -> Costs:
        with torch.random.fork_rng(devices=[]):
            model = self.model()
        drawn = self.valid(self.sample(3, np.random.default_rng(0)))
        checked = list(dict.fromkeys([self.largest, self.smallest, *drawn]))
        return Costs(model, Plan(model), self.example_inputs(1), checked)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs` (multiply-adds of convolutions, linear layers and attention), exact,
        shape (n,)."""
        return self._costs(archs)

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_plan", "_costs")
        return {name: value for name, value in vars(self).items() if name not in hidden}


@final
class ElasticSuperNetwork(SuperNetwork, nn.Module):
    """An elastic model whose active architecture sets its layers.

    State-dict keys are those of the model, after "model.".
    """

    def __init__(self, model: nn.Module, largest: Architecture, inputs: Inputs) -> None:
        super().__init__()
        self.model = model
        self.largest, self.inputs = largest, inputs
        self.activate(largest)

    @property
    def plan(self) -> Plan:
        """What variables set in this model."""
        found: Plan | None = self.__dict__.get("_plan")
        if found is None:
            found = self.__dict__["_plan"] = Plan(self.model)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_plan"}

    def activate(self, arch: Architecture) -> None:
        """From now on, forward computes the sub-network of `arch`."""
        self.plan.activate(arch)
        self.arch = tuple(arch)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gives."""
        return self.model(*args, **kwargs)

    def extract(self, arch: Architecture) -> nn.Module:
        """The plain network of `arch`, in the mode of this one."""
        before = self.arch
        self.activate(arch)
        network = extract(self.model)
        self.activate(before)
        return network.train(self.training)

    def sort_channels(self, trained: int = 0) -> None:
        """Sort every axis of elastic size by importance. Outputs whose size is elastic, such as hidden
        states, are sorted with them.

        An error, and nothing is changed, where the model mixes channels outside of its layers in a
        way that depends on their order.
        """
        state = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        before = self._outputs(self.largest)
        axes = elastic_axes(before, map(self._outputs, self._others()))
        sort_channels(self.model, trained)
        off = change(before, self._outputs(self.largest), axes)
        if off > 1e-3:
            self.load_state_dict(state)
            raise NasplugError(
                f"sorting channels must leave the outputs of the largest network as they are, but they are "
                f"off by {off:.2g}: layers that have an axis in common must be given equal sizes, and "
                "what forward does between them must not depend on the order of channels"
            )

    def _others(self) -> Iterator[Architecture]:
        """The largest architecture with another option of one variable, for each."""
        for j, variable in enumerate(self.plan.variables):
            other = (self.largest[j] + 1) % len(variable.options)
            yield (*self.largest[:j], other, *self.largest[j + 1 :])

    @torch.no_grad()
    def _outputs(self, arch: Architecture) -> dict[str, torch.Tensor]:
        """Those of a sub-network for the example inputs."""
        before, modes = self.arch, {module: module.training for module in self.modules()}
        like = next(self.parameters())
        inputs = tree_map(lambda x: _moved(x, like), self.inputs)
        self.activate(arch)
        outputs = call(self.eval(), inputs)
        self.activate(before)
        for module, training in modes.items():
            module.training = training
        return dict(named_tensors(outputs))


def _moved(x: Any, like: torch.Tensor) -> Any:
    """A tensor on the device, and if it holds fractions of the type, of another."""
    if not isinstance(x, torch.Tensor):
        return x
    return x.to(like.device, like.dtype if x.is_floating_point() else None)
