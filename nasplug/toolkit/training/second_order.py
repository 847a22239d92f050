"""Gradients by alphas: the plain one, and the second-order one of DARTS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Loss = Callable[[], torch.Tensor]
STEP = 0.01
"""Length of the finite difference in the space of weights (Liu et al. 2019, footnote 2)."""


def second_order_gradient(
    train: Loss,
    validation: Loss,
    weights: Sequence[torch.Tensor],
    alphas: Sequence[torch.Tensor],
    rate: float,
) -> list[torch.Tensor]:
    """The gradient by alphas of the validation loss after one step of the weights,
    L_val(w - rate * dL_train/dw, alphas), one tensor an alpha.

    Liu, Simonyan, Yang, "DARTS: differentiable architecture search" (ICLR 2019), equations 7 and 8:
    the product with the second derivative is a finite difference of first ones. `train` and
    `validation` compute their loss from the weights and alphas as they are; the weights are put back.
    """
    before = [w.detach().clone() for w in weights]
    try:
        _set(weights, before, gradient(train(), weights), -rate)
        after = gradient(validation(), [*alphas, *weights])
        direct, slope = after[: len(alphas)], after[len(alphas) :]
        norm = float(torch.stack([s.norm() for s in slope]).norm())
        if not norm:
            return direct
        step = STEP / norm
        _set(weights, before, slope, step)
        plus = gradient(train(), alphas)
        _set(weights, before, slope, -step)
        minus = gradient(train(), alphas)
    finally:
        _set(weights, before, before, 0.0)
    return [d - rate * (p - m) / (2 * step) for d, p, m in zip(direct, plus, minus, strict=True)]


def architecture_gradient(
    train: Loss,
    validation: Loss,
    weights: Sequence[torch.Tensor],
    alphas: Sequence[torch.Tensor],
    rate: float,
    second_order: bool,
) -> list[torch.Tensor]:
    """The gradient by alphas of the validation loss: of the weights as they are, or, with
    `second_order`, after their next step on the training loss at the learning `rate`."""
    if second_order:
        return second_order_gradient(train, validation, weights, alphas, rate)
    return gradient(validation(), alphas)


def gradient(loss: torch.Tensor, of: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """d loss / d each of `of`; zero for what it does not depend on."""
    return list(torch.autograd.grad(loss, list(of), allow_unused=True, materialize_grads=True))


@torch.no_grad()
def _set(
    weights: Sequence[torch.Tensor],
    start: Sequence[torch.Tensor],
    way: Sequence[torch.Tensor],
    length: float,
) -> None:
    """weights = start + length * way."""
    for weight, origin, direction in zip(weights, start, way, strict=True):
        weight.copy_(origin).add_(direction, alpha=length)
