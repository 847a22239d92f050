"""Makes the networks of nni's hub fit a task: some of them fix the channels or the classes."""

from __future__ import annotations

import torch
from torch import nn


def is_of_hub(kind: type) -> bool:
    """Whether a class is nni's hub's, or comes from one that is."""
    return any(base.__module__.startswith("nni.nas.hub.pytorch.") for base in kind.__mro__)


def fit_to_task(network: nn.Module, in_channels: int | None, num_classes: int | None) -> nn.Module:
    """Give the first convolution `in_channels`, the last linear layer `num_classes`; in place.

    The convolution keeps its weights, of the first input channels, again from the first where more
    are wanted; so it is initialised as its network wants it. The linear layer is drawn anew.
    """
    name, conv = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if in_channels not in (None, conv.in_channels):
        with torch.no_grad():
            weight = conv.weight[:, torch.arange(in_channels) % conv.in_channels].clone()
        new = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Conv2d,
            in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            bias=conv.bias is not None,
        )
        new.weight, new.bias = nn.Parameter(weight), conv.bias
        network.set_submodule(name, new)
    *_, (name, linear) = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear))
    if num_classes not in (None, linear.out_features):
        new = nn.Linear(linear.in_features, num_classes, linear.bias is not None)
        network.set_submodule(name, new)
    return network
