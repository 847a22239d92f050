"""The network as proxies want it, and put back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nasplug_proxies.scoring.probe import weights

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class ScoringSetup:
    """What proxies must agree on to share a pass."""

    input: str
    samples: int
    init: str
    training: bool
    normalisation: bool
    double: bool


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
def arranged(model: nn.Module, setup: ScoringSetup, device: torch.device) -> Iterator[None]:
    """Within it `model` is on `device` as `setup` says; afterwards it is as before."""
    with ExitStack() as stack:
        stack.enter_context(preserved(model))
        model.to(device, torch.float64 if setup.double else None).train(setup.training)
        for weight in weights(model):
            weight.requires_grad_()
        if setup.init != "own":
            _initialise(model, setup.init)
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
            if isinstance(vars(module).get("inplace"), bool):
                stack.callback(setattr, module, "inplace", module.inplace)
                module.inplace = False  # type: ignore[assignment]
            if isinstance(module, NORMS) and not setup.normalisation:
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
