"""The probe that proxies are given: one pass through an untrained network, with hooks."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import torch
from torch import nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils._pytree import tree_leaves, tree_map_only

from nasplug import NasplugError
from nasplug.contracts.inputs import Inputs, call
from nasplug.contracts.probe import Examples, Layer
from nasplug.toolkit.networks.nested import main_output

if TYPE_CHECKING:
    from nasplug.contracts.task import Task

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU),
    *(nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus),
)
"""Rectifiers: a unit is on where its input is positive, off elsewhere."""

WEIGHTED = "convolution, linear, attention or recurrent layers"
ACTIVE = "activation modules (ReLU and its kin)"
COVERED: Mapping[str, str] = {
    "gradients": WEIGHTED,
    "layers": "convolution or linear layers",
    "jacobian": "real numbers as inputs and as outputs",
    "outputs": "real numbers as outputs",
    "patterns": ACTIVE,
    "reached": ACTIVE,
    "blocks": "building blocks that are modules",
}
"""What a network must have for each need to be met."""


@final
class PassProbe:
    """`nasplug.contracts.probe.Probe`: makes the pass when it is made, for all that `needs` names."""

    def __init__(
        self,
        model: nn.Module,
        examples: Sequence[Examples],
        task: Task | None,
        needs: Collection[str],
    ) -> None:
        self.model, self.examples, self.task = model, examples, task
        self._seen: dict[str, Any] = {}
        if set(needs) & set(COVERED):
            self._look(frozenset(needs))

    @property
    def inputs(self) -> Inputs:
        """What the network is called with, on its device."""
        return self.examples[0].inputs

    @property
    def classes(self) -> torch.Tensor:
        """Class labels of the examples, int64, shape (b,)."""
        labels: torch.Tensor = self.examples[0].batch[-1]
        return labels

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weights, no biases, of convolution, linear, attention and recurrent layers."""
        if found := weights(self.model):
            return found
        raise NasplugError(f"the network must have {WEIGHTED}, but this one has none")

    def loss(self, number: int = 0) -> torch.Tensor:
        """The task's loss of `model` on batch `number`, a scalar with its graph, by a new pass."""
        if self.task is None:
            raise NasplugError("a proxy that calls the loss must declare it in `needs`")
        return self.task.loss(self.model, self.examples[number].batch)

    @property
    def outputs(self) -> torch.Tensor:
        """What the network answered in the shared pass, without graph; of a structured output its
        `logits`, or else its first tensor of real numbers."""
        return self._get("outputs")  # type: ignore[no-any-return]

    @property
    def gradients(self) -> list[torch.Tensor]:
        """Of the loss, for each of `weights`."""
        return self._get("gradients")  # type: ignore[no-any-return]

    @property
    def layers(self) -> list[Layer]:
        """The convolution and linear layers that the loss depends on, the last one first."""
        return self._get("layers")  # type: ignore[no-any-return]

    @property
    def jacobian(self) -> torch.Tensor:
        """Gradient of the summed outputs for each example's input, shape (b, numbers)."""
        return self._get("jacobian")  # type: ignore[no-any-return]

    @property
    def patterns(self) -> list[torch.Tensor]:
        """For each activation layer, in order, which units are on: bool, shape (b, units).

        Layers that read the same tensor share theirs.
        """
        return self._get("patterns")  # type: ignore[no-any-return]

    @property
    def reached(self) -> list[bool]:
        """For each of `patterns`, whether the main output's graph leads back to the layer: one that
        reads constants, or whose output nothing uses, is not reached."""
        return self._get("reached")  # type: ignore[no-any-return]

    @property
    def blocks(self) -> list[torch.Tensor]:
        """Outputs of the building blocks, in order, with their graph."""
        return self._get("blocks")  # type: ignore[no-any-return]

    def _get(self, need: str) -> Any:
        if need not in self._seen:
            raise NasplugError(f"a proxy that reads {need} must declare it in `needs`")
        value = self._seen[need]
        if value is None or (isinstance(value, list) and not value):
            raise NasplugError(f"the network must have {COVERED[need]}, but this one has none")
        return value

    # ---- the pass --------------------------------------------------------------------------------

    def _look(self, needs: frozenset[str]) -> None:
        """One forward pass; one backward pass of the loss, and one of the outputs to the input."""
        learns = needs & {"gradients", "layers"}
        graph = bool(learns or needs & {"jacobian", "blocks", "reached"})
        with torch.set_grad_enabled(graph), _watched(self.model, needs) as watch:
            loss = self.loss() if learns else call(self.model, self.inputs)
        self._seen["reached"] = _reached(watch.outputs, watch.activated)
        watch.activated.clear()
        if learns:
            self._seen["gradients"] = _gradients(
                loss, weights(self.model), keep=bool(needs & {"jacobian", "blocks"})
            )
            watch.stop()
            self._seen["layers"] = watch.layers
        if "jacobian" in needs:
            self._seen["jacobian"] = _jacobian(watch, keep="blocks" in needs)
        self._seen["patterns"] = watch.patterns
        self._seen["blocks"] = watch.blocks
        self._seen["outputs"] = None if watch.outputs is None else watch.outputs.detach()
        self._seen = {name: self._seen[name] for name in self._seen if name in needs}


def summed(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """The sum of a network's main output, with its graph."""
    output = main_output(call(model, inputs))
    if output is None:
        raise NasplugError("the network must have real numbers as outputs, but this one has none")
    return output.sum()


class _Watch:
    """What the hooks of one forward pass write down."""

    def __init__(self) -> None:
        self.inputs: list[torch.Tensor] = []
        self.outputs: torch.Tensor | None = None
        self.layers: list[Layer] = []
        self.patterns: list[torch.Tensor] = []
        self.activated: list[Node | None] = []
        self.blocks: list[torch.Tensor] = []
        self._hooks: list[Any] = []
        self._read: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def enter(self, module: nn.Module, args: Any, keywords: Any) -> Any:
        """The network's inputs become leaves of the graph."""

        def leaf(x: torch.Tensor) -> torch.Tensor:
            if _real(x) and torch.is_grad_enabled():
                return x.detach().clone().requires_grad_()
            return x

        entered = tree_map_only(torch.Tensor, leaf, (args, keywords))
        self.inputs = [x for x in tree_leaves(entered) if _real(x)]
        return entered

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """The network's main output."""
        self.outputs = main_output(output)

    def layer(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        """The output of a convolution or a linear layer: waits for its gradient, and keeps neither."""
        if output.requires_grad:
            value = output.detach()
            self._hooks.append(
                output.register_hook(  # type: ignore[no-untyped-call]
                    lambda gradient: self.layers.append(
                        Layer(module, _effect(module, value, gradient))
                    )
                )
            )

    def stop(self) -> None:
        """Wait for no more gradients."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def pattern(self, module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        """What an activation layer reads."""
        x = args[0]
        known = self._read.get(id(x))
        if known is None or known[0]() is not x:
            known = self._read[id(x)] = (weakref.ref(x), (x.detach() > 0).flatten(1))
        self.patterns.append(known[1])

    def activation(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        """Where in the graph an activation layer's output is; None where it has no graph."""
        graph = output.requires_grad
        self.activated.append(get_gradient_edge(output).node if graph else None)

    def block(self, module: nn.Module, args: Any, output: Any) -> None:
        """The output of a building block."""
        self.blocks.append(output if isinstance(output, torch.Tensor) else output[0])


@contextmanager
def _watched(model: nn.Module, needs: frozenset[str]) -> Iterator[_Watch]:
    watch, hooks = _Watch(), []
    try:
        if needs & {"jacobian", "reached"}:
            hooks.append(model.register_forward_pre_hook(watch.enter, with_kwargs=True))
        if "layers" in needs:
            covered = [
                m for m in model.modules() if isinstance(m, (nn.modules.conv._ConvNd, nn.Linear))
            ]
            hooks += [m.register_forward_hook(watch.layer) for m in covered]
        rectifiers = [m for m in model.modules() if isinstance(m, ACTIVATIONS)]
        if "reached" in needs:
            hooks += [m.register_forward_hook(watch.activation) for m in rectifiers]
        if "patterns" in needs:
            hooks += [m.register_forward_pre_hook(watch.pattern) for m in rectifiers]
        if "blocks" in needs:
            hooks += [m.register_forward_hook(watch.block) for m in blocks(model)]
        hooks.append(model.register_forward_hook(watch.leave))
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


def _reached(output: torch.Tensor | None, nodes: list[Node | None]) -> list[bool]:
    """Whether the graph of `output` leads back to each of `nodes`."""
    seen: set[Node] = set()
    left = [output.grad_fn] if output is not None and output.grad_fn is not None else []
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += [before for before, _ in node.next_functions if before is not None]
    return [node in seen for node in nodes]


def _gradients(loss: torch.Tensor, of: list[nn.Parameter], keep: bool) -> list[torch.Tensor]:
    if not of:
        return []
    return list(
        torch.autograd.grad(loss, of, retain_graph=keep, allow_unused=True, materialize_grads=True)
    )


def _effect(module: nn.Module, output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    effect = output * gradient
    if isinstance(module, nn.Linear):
        effect = effect.movedim(-1, 1)
    return effect.flatten(2).sum(2) if effect.ndim > 2 else effect


def _jacobian(watch: _Watch, keep: bool) -> torch.Tensor | None:
    if not watch.inputs or watch.outputs is None:
        return None
    parts = torch.autograd.grad(
        watch.outputs.sum(), watch.inputs, retain_graph=keep, allow_unused=True,
        materialize_grads=True,
    )  # fmt: skip
    return torch.cat([part.flatten(1) for part in parts], 1)


def _real(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_floating_point()


# ---- what a network is made of -------------------------------------------------------------------


def weights(model: nn.Module) -> list[nn.Parameter]:
    """The distinct weights, no biases, of convolution, linear, attention and recurrent layers."""
    found: list[Any] = []
    for module in model.modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            found.append(module.weight)
        elif isinstance(module, (nn.MultiheadAttention, nn.RNNBase)):
            own = module.named_parameters(recurse=False)
            found += [p for name, p in own if "weight" in name]
    return list({id(p): p for p in found if isinstance(p, nn.Parameter)}.values())


def blocks(model: nn.Module) -> list[nn.Module]:
    """The building blocks of a network: its smallest parts that are networks themselves.

    Containers (`Sequential`, `ModuleList`, `ModuleDict`) are opened; any other module that has
    children is a block. A network without such modules has its weighted layers instead.
    """
    found = _blocks(model, root=True)
    return found or [
        m for m in model.modules() if isinstance(m, (nn.modules.conv._ConvNd, nn.Linear))
    ]


def _blocks(module: nn.Module, root: bool = False) -> list[nn.Module]:
    container = isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))
    if not (root or container):
        return [module] if any(True for _ in module.children()) else []
    return [block for child in module.children() for block in _blocks(child)]
