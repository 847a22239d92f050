"""One step of an optimiser, as every training loop takes it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def gradient_step(
    optimizer: torch.optim.Optimizer,
    loss: torch.Tensor,
    parameters: Iterable[nn.Parameter],
    clip: float = 0.0,
) -> float:
    """Lower a scalar `loss` by one step; returns it.

    `clip` limits the norm of the gradient by `parameters`; 0 for no limit. Gradients from before are
    forgotten.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return float(loss.detach())
