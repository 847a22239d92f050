"""What every super-network must do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.space import SearchSpace
from nasplug.contracts.types import Architecture
from nasplug.toolkit.networks.nested import named_tensors, tensors
from nasplug.toolkit.networks.seeding import seeded

if TYPE_CHECKING:
    import torch


class SuperNetworkContract:
    """Give a `space` fixture, whose `supernet()` is tested."""

    samples = 5
    """How many random architectures are compared, beside the smallest and the largest."""

    params = "params"
    """The cost that counts all parameters of the network."""

    tolerance = 1e-5
    """How far an extracted network's output may be off, relative to the largest output."""

    def archs(self, space: SearchSpace) -> list[Architecture]:
        """Random ones and the extremes."""
        drawn = space.sample(self.samples, np.random.default_rng(1))
        return space.valid([*drawn.tolist(), space.smallest, space.largest])

    def make(self, space: SearchSpace) -> Any:
        """A super-network whose every number is random, batch-norm statistics too."""
        import torch

        with seeded(0):
            network: Any = space.supernet()
            for name, buffer in network.named_buffers():
                if name.endswith("running_mean"):
                    buffer.normal_(0, 0.1)
                elif name.endswith("running_var"):
                    buffer.uniform_(0.5, 1.5)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.02)
        return network.eval()

    def close(self, one: torch.Tensor, other: torch.Tensor) -> bool:
        """Equal to the tolerance."""
        scale = max(1.0, float(other.detach().abs().max()))
        return float((one - other).detach().abs().max()) <= self.tolerance * scale

    def run(self, network: Any, inputs: Inputs) -> torch.Tensor:
        """All real numbers of the network's outputs, however they are structured, in one row."""
        import torch

        found = tensors(call(network, inputs))
        return torch.cat([x.flatten() for x in found if x.is_floating_point()])

    def test_extracted_equals_activated(self, space: SearchSpace) -> None:
        import torch

        network, inputs = self.make(space), space.example_inputs(2)
        with torch.no_grad():
            for arch in self.archs(space):
                network.activate(arch)
                assert self.close(
                    self.run(network.extract(arch).eval(), inputs), self.run(network, inputs)
                )

    def test_extracted_loads_into_a_built_network(self, space: SearchSpace) -> None:
        import torch

        network, inputs = self.make(space), space.example_inputs(2)
        for arch in self.archs(space):
            extracted, built = network.extract(arch).eval(), space.build(arch).eval()
            built.load_state_dict(extracted.state_dict())
            with torch.no_grad():
                assert torch.equal(self.run(built, inputs), self.run(extracted, inputs))
            count = sum(p.numel() for p in extracted.parameters())
            assert count == sum(p.numel() for p in built.parameters())
            assert count == space.costs([arch]).get(self.params, [count])[0]

    def test_extracted_is_stand_alone(self, space: SearchSpace) -> None:
        network = self.make(space)
        shared = {t.untyped_storage().data_ptr() for t in network.state_dict().values()}
        for arch in self.archs(space):
            copies = network.extract(arch).state_dict().values()
            assert not shared & {t.untyped_storage().data_ptr() for t in copies}

    def test_activating_and_extracting_change_no_state(self, space: SearchSpace) -> None:
        import torch

        network, inputs = self.make(space), space.example_inputs(2)
        before = copy.deepcopy(network.state_dict())
        first, *others = self.archs(space)
        with torch.no_grad():
            network.activate(first)
            expected = self.run(network, inputs)
            for arch in others:
                network.extract(arch)
            assert torch.equal(self.run(network, inputs), expected)
            for arch in others:
                network.activate(arch)
            network.activate(first)
            assert torch.equal(self.run(network, inputs), expected)
        after = network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_unsampled_weights_have_no_influence(self, space: SearchSpace) -> None:
        """Noise on every weight without a gradient changes neither the sub-network nor its copy."""
        import torch

        network, inputs, arch = self.make(space), space.example_inputs(2), space.smallest
        network.activate(arch)
        output = self.run(network, inputs)
        torch.autograd.backward((output * torch.linspace(0.5, 1.5, output.numel())).sum())
        with torch.no_grad(), seeded(1):
            for parameter in network.parameters():
                free = torch.ones_like(parameter) if parameter.grad is None else parameter.grad == 0
                parameter.add_(free * torch.randn_like(parameter) * 1e-3)
            assert self.close(self.run(network, inputs), output)
            assert self.close(self.run(network.extract(arch).eval(), inputs), output)

    def test_a_fresh_one_has_the_largest_active(self, space: SearchSpace) -> None:
        import torch

        network, inputs = self.make(space), space.example_inputs(2)
        with torch.no_grad():
            expected = self.run(network, inputs)
            network.activate(space.largest)
            assert torch.equal(self.run(network, inputs), expected)

    def test_sorting_channels_keeps_the_largest(self, space: SearchSpace) -> None:
        import torch

        from nasplug.toolkit.networks.reordering import change, elastic_axes

        network, inputs = self.make(space), space.example_inputs(2)

        def outputs(arch: Architecture) -> dict[str, torch.Tensor]:
            network.activate(arch)
            return dict(named_tensors(call(network, inputs)))

        with torch.no_grad():
            expected = outputs(space.largest)
            axes = elastic_axes(expected, map(outputs, self.archs(space)))
            network.activate(space.largest)
            network.sort_channels()
            assert (
                change(expected, dict(named_tensors(call(network, inputs))), axes) <= self.tolerance
            )

    def test_a_mixture_of_one_option_each_is_that_sub_network(self, space: SearchSpace) -> None:
        import torch

        network, inputs = self.make(space), space.example_inputs(2)
        counts = [len(v.options) for v in space.variables]
        for arch in self.archs(space):
            network.activate(arch)
            with torch.no_grad():
                expected = self.run(network, inputs)
            weights = [torch.eye(n)[i].requires_grad_() for n, i in zip(counts, arch, strict=True)]
            try:
                network.relax(weights)
            except NasplugError:
                return  # it has no relaxation, and says so
            assert self.close(self.run(network, inputs), expected)
            network.activate(arch)
            assert torch.equal(self.run(network, inputs), expected)
