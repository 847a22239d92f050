"""One step of an optimiser, as every training loop takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn


def gradient_step(
    optimizer: torch.optim.Optimizer,
    loss: torch.Tensor,
    parameters: Iterable[nn.Parameter],
    clip: float = 0.0,
) -> float:
    """Lower a scalar `loss` by one step; returns it. The rest is as in `accumulated_step`."""
    return float(accumulated_step(optimizer, [loss], _backward, parameters, clip))


def accumulated_step(
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Any],
    backward: Callable[[Any], torch.Tensor],
    parameters: Iterable[nn.Parameter],
    clip: float = 0.0,
) -> torch.Tensor:
    """One step on the mean gradient of `batches`, at least one; returns their mean loss, a scalar.

    `backward` adds a batch's gradient to those that parameters hold, and returns its loss. `clip` limits the
    norm of the gradient by `parameters`; 0 for no limit. Gradients from before are forgotten.
    """
    optimizer.zero_grad(set_to_none=True)
    losses = [backward(batch).detach() for batch in batches]
    learnt = list(parameters) if len(batches) > 1 or clip else []
    if len(batches) > 1:
        for parameter in learnt:
            if parameter.grad is not None:
                parameter.grad /= len(batches)
    if clip:
        nn.utils.clip_grad_norm_(learnt, clip)
    optimizer.step()
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def _backward(loss: torch.Tensor) -> torch.Tensor:
    loss.backward()  # type: ignore[no-untyped-call]
    return loss
