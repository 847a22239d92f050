"""Counts what a network holds and does, exactly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nasplug.contracts.inputs import Inputs, call

if TYPE_CHECKING:
    from torch import nn


def parameters(model: nn.Module) -> int:
    """The numbers that `model` learns: the sum of numel of its distinct parameters."""
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, inputs: Inputs) -> int:
    """Multiply-adds of one forward pass on `inputs`, in evaluation mode: those of convolutions,
    linear layers, recurrent layers and matrix products (attention's two among them).

    What else a network does (normalisation, activations, pooling, additions) is not counted, as in
    the published figures. The network is run once, on its own device; its mode stays as it was.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), _unfused(model), FlopCounterMode(display=False) as counter:
            call(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
    return int(counter.get_total_flops()) // 2  # it counts a multiply-add as two


@contextmanager
def _unfused(model: nn.Module) -> Iterator[None]:
    """Within it no fused kernel hides the matrix products that it is made of."""
    import torch
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if any(isinstance(m, nn.RNNBase) for m in model.modules()):
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter(
                    "ignore"
                )  # oneDNN's flags speak of graphics cards, here absent
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
