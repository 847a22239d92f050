"""Scores untrained networks by zero-cost proxies, which share passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nasplug.contracts.errors import NasplugError
from nasplug.contracts.proxy import ZeroCostProxy
from nasplug.contracts.types import Failure
from nasplug.toolkit.probe import Examples, Probe, weights
from nasplug.toolkit.seeding import seeded

if TYPE_CHECKING:
    from nasplug.contracts.task import Task

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
LEARN = frozenset({"loss", "classes", "gradients", "layers"})
"""Needs that only a task can meet."""


@dataclass(frozen=True)
class _Situation:
    """What proxies must agree on to share a pass."""

    input: str
    samples: int
    init: str
    training: bool
    normalisation: bool
    double: bool


class Feed:
    """Makes the batches that proxies ask for, each once; the same ones for the same `seed`.

    `example_inputs` is `SearchSpace.example_inputs`; `task` is needed by proxies that need data.
    """

    def __init__(
        self,
        example_inputs: Callable[[int], tuple[Any, ...]],
        task: Task | None = None,
        batch_size: int = 64,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.example_inputs, self.task = example_inputs, task
        self.batch_size, self.seed, self.device = batch_size, seed, torch.device(device)
        self._made: dict[tuple[str, int, int], list[Examples]] = {}

    def examples(self, name: str, proxy: ZeroCostProxy) -> list[Examples]:
        """Its batches, on the CPU; an error in one line where the task cannot give them."""
        if self.task is None and (proxy.input == "data" or LEARN & set(proxy.needs)):
            raise NasplugError(
                f"{name} needs data, but there is no task; choose one, e.g. task=digits with an "
                "evaluator that uses it, or a proxy without data, e.g. synflow"
            )
        made = self._make(proxy.input, proxy.samples or self.batch_size, proxy.batches)
        if "classes" in proxy.needs:
            labels = made[0].batch[-1]
            if (
                not isinstance(labels, torch.Tensor)
                or labels.dtype != torch.int64
                or labels.ndim != 1
            ):
                raise NasplugError(
                    f"{name} needs a task whose target is one class label an example, an int64 of "
                    f"shape (b,), but {type(self.task).__name__} has other targets"
                )
        return made

    def _make(self, source: str, samples: int, batches: int) -> list[Examples]:
        key = (source, samples, batches)
        if key not in self._made:
            with seeded(self.seed):
                if source == "data" and self.task is not None:
                    found = islice(self.task.train_batches(samples, self.seed), batches)
                    self._made[key] = [Examples(self.task.inputs(b), b) for b in found]
                elif source == "none":
                    self._made[key] = [Examples(())]
                else:
                    fill = torch.randn_like if source == "gaussian" else torch.ones_like
                    shapes = self.example_inputs(samples)
                    self._made[key] = [Examples(_real(shapes, fill)) for _ in range(batches)]
        if len(self._made[key]) < batches:
            raise NasplugError(
                f"the task must have {batches} training batches of {samples}, but it has "
                f"{len(self._made[key])}; lower batch_size"
            )
        return self._made[key]


def scores(
    proxies: Mapping[str, ZeroCostProxy], model: nn.Module, feed: Feed
) -> dict[str, float | Failure]:
    """The score of `model` by each proxy, or why it has none; the model stays as it was.

    Proxies that agree on network and input share one forward and backward pass. Scores are the same
    whatever else is scored beside or was before.
    """
    groups: dict[_Situation, dict[str, ZeroCostProxy]] = {}
    for name, proxy in proxies.items():
        samples = proxy.samples or feed.batch_size
        situation = _Situation(
            proxy.input, samples, proxy.init, proxy.training, proxy.normalisation, proxy.double
        )
        groups.setdefault(situation, {})[name] = proxy
    found: dict[str, float | Failure] = {}
    for situation, group in groups.items():
        examples = max((feed.examples(n, p) for n, p in group.items()), key=len)
        with torch.enable_grad(), seeded(feed.seed), _arranged(model, situation, feed.device):
            dtype = torch.float64 if situation.double else torch.float32
            here = [_moved(e, feed.device, dtype) for e in examples]
            needs = {need for proxy in group.values() for need in proxy.needs}
            probe = Probe(model, here, feed.task, needs)
            for name, proxy in group.items():
                with seeded(feed.seed), preserved(model):
                    found[name] = _score(name, proxy, probe)
    return {name: found[name] for name in proxies}


def _score(name: str, proxy: ZeroCostProxy, probe: Probe) -> float | Failure:
    try:
        value = float(proxy.score(probe))
    except NasplugError as error:
        return Failure(f"{name}: {error}")
    if not math.isfinite(value):
        return Failure(f"{name} must be finite, but for this network it is {value}")
    return value


# ---- the network, arranged and put back ----------------------------------------------------------


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Whatever happens within, `model` is afterwards as before, bit for bit: weights, buffers,
    gradients, what learns, modes."""
    parameters = [(p, p.data, p.grad, p.requires_grad) for p in model.parameters()]
    buffers = [(m, n, b) for m in model.modules() for n, b in m._buffers.items() if b is not None]
    modes = [(m, m.training) for m in model.modules()]
    copies = {id(b): b.clone() for _, _, b in buffers}
    for parameter, data, _, _ in parameters:
        parameter.data, parameter.grad = data.clone(), None
    for module, name, buffer in buffers:
        module._buffers[name] = copies[id(buffer)]
    try:
        yield
    finally:
        for parameter, data, grad, learns in parameters:
            parameter.grad = None
            parameter.data = data
            parameter.grad = grad
            parameter.requires_grad_(learns)
        for module, name, buffer in buffers:
            module._buffers[name] = buffer
        for module, training in modes:
            module.training = training


@contextmanager
def _arranged(model: nn.Module, situation: _Situation, device: torch.device) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(preserved(model))
        model.to(device, torch.float64 if situation.double else None).train(situation.training)
        for weight in weights(model):
            weight.requires_grad_()
        if situation.init != "own":
            _initialise(model, situation.init)
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
            if isinstance(vars(module).get("inplace"), bool):
                stack.callback(setattr, module, "inplace", module.inplace)
                module.inplace = False  # type: ignore[assignment]
            if isinstance(module, NORMS) and not situation.normalisation:
                module.forward = _identity  # type: ignore[method-assign]
                stack.callback(delattr, module, "forward")
        yield


def _identity(x: torch.Tensor, *_: Any) -> torch.Tensor:
    return x


@torch.no_grad()
def _initialise(model: nn.Module, init: str) -> None:
    for weight in weights(model):
        if init == "normal":
            weight.normal_()
        else:
            nn.init.kaiming_normal_(weight)
    mine = {id(weight) for weight in weights(model)}
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, NORMS) or any(id(p) in mine for p in own.values()):
            for name, parameter in own.items():
                if "bias" in name:
                    parameter.zero_()
                elif id(parameter) not in mine:
                    parameter.fill_(1)


def _moved(examples: Examples, device: torch.device, dtype: torch.dtype) -> Examples:
    def place(x: torch.Tensor) -> torch.Tensor:
        return x.to(device, dtype if x.is_floating_point() else None)

    return Examples(_each(examples.inputs, place), _each(examples.batch, place))


def _real(parts: Any, fill: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same shapes, with all real numbers anew."""
    return _each(parts, lambda x: fill(x) if x.is_floating_point() else x)


def _each(parts: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`parts`, a tensor or tuples of them, each tensor changed."""
    if isinstance(parts, torch.Tensor):
        return change(parts)
    if isinstance(parts, (tuple, list)):
        return tuple(_each(part, change) for part in parts)
    return parts
