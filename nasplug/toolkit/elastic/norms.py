"""Elastic normalisation layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.elastic.layer import Elastic
from nasplug.toolkit.elastic.sizes import Sized, Width, total

_CHANNELS = ("num_features",)


class _BatchNorm(Elastic, nn.modules.batchnorm._BatchNorm):
    """What batch norms of any dimension have in common."""

    AXES = (
        ("weight", _CHANNELS),
        ("bias", _CHANNELS),
        ("running_mean", _CHANNELS),
        ("running_var", _CHANNELS),
    )

    def __init__(
        self,
        num_features: Sized,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(total(num_features), eps, momentum, affine, track_running_stats)
        self.declare(num_features=num_features)

    def activate(self, num_features: Width | None = None) -> None:
        """Use the leading channels."""
        self.cut(num_features)

    def forward(self, input: Tensor) -> Tensor:
        """(n, active width, ..), unchanged in shape."""
        if self.cuts is None:
            return super().forward(input)
        training, momentum = self.training, self.momentum
        if training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # a cumulative average, as in torch
                momentum = 1 / int(self.num_batches_tracked)
        part = self.part
        return functional.batch_norm(
            input,
            part("running_mean"),
            part("running_var"),
            part("weight"),
            part("bias"),
            training or self.running_mean is None,
            momentum or 0.0,
            self.eps,
        )


@final
class ElasticBatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """Batch norm of elastic width, for (n, width) or (n, width, length): see `ElasticBatchNorm2d`."""

    KIND = nn.BatchNorm1d


@final
class ElasticBatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Batch norm over the leading channels; training updates their running statistics alone.

    Args:
        num_features: The width: a number, or a size that variables decide.
        eps, momentum, affine, track_running_stats: As in torch.
    """

    KIND = nn.BatchNorm2d


@final
class ElasticLayerNorm(Elastic, nn.LayerNorm):
    """Layer norm over the last axis, of elastic width.

    Args:
        normalized_shape: The width: a number, or a size that variables decide.
        eps, elementwise_affine, bias: As in torch.
    """

    KIND = nn.LayerNorm
    AXES = (("weight", ("normalized_shape",)), ("bias", ("normalized_shape",)))

    def __init__(
        self,
        normalized_shape: Sized,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(total(normalized_shape), eps, elementwise_affine, bias)
        self.declare(normalized_shape=normalized_shape)
        self.width = total(normalized_shape)

    def activate(self, normalized_shape: Width | None = None) -> None:
        """Use the leading channels."""
        self.cut(normalized_shape)
        self.width = _width(self, normalized_shape)

    def forward(self, input: Tensor) -> Tensor:
        """(.., active width), unchanged in shape."""
        weight, bias = self.part("weight"), self.part("bias")
        return functional.layer_norm(input, (self.width,), weight, bias, self.eps)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """The shape."""
        return {"normalized_shape": (self.width,)}


@final
class ElasticRMSNorm(Elastic, nn.RMSNorm):
    """Norm by the root mean square over the last axis, of elastic width.

    Args:
        normalized_shape: The width: a number, or a size that variables decide.
        eps, elementwise_affine: As in torch.
    """

    KIND = nn.RMSNorm
    AXES = (("weight", ("normalized_shape",)),)

    def __init__(
        self, normalized_shape: Sized, eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__(total(normalized_shape), eps, elementwise_affine)
        self.declare(normalized_shape=normalized_shape)
        self.width = total(normalized_shape)

    def activate(self, normalized_shape: Width | None = None) -> None:
        """Use the leading channels."""
        self.cut(normalized_shape)
        self.width = _width(self, normalized_shape)

    def forward(self, input: Tensor) -> Tensor:
        """(.., active width), unchanged in shape."""
        return torch.rms_norm(input, (self.width,), self.part("weight"), self.eps)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """The shape."""
        return {"normalized_shape": (self.width,)}


@final
class ElasticGroupNorm(Elastic, nn.GroupNorm):
    """Group norm of elastic width and number of groups; its channels keep their order.

    Args:
        num_groups: Groups into which the active channels are cut: a number, or a size.
        num_channels: The width: a number, or a size that variables decide.
        eps, affine: As in torch.
    """

    KIND = nn.GroupNorm
    AXES = (("weight", ("num_channels",)), ("bias", ("num_channels",)))

    def __init__(
        self, num_groups: Sized, num_channels: Sized, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__(total(num_groups), total(num_channels), eps, affine)
        self.declare(num_groups=num_groups, num_channels=num_channels)
        self.groups, self.width = self.num_groups, self.num_channels

    def activate(self, num_groups: int | None = None, num_channels: Width | None = None) -> None:
        """Use the leading channels, in so many groups."""
        groups = self.num_groups if num_groups is None else num_groups
        width = _width(self, num_channels)
        if width % groups:
            raise NasplugError(
                f"num_channels must be a multiple of num_groups, but got {width} and {groups}"
            )
        self.cut(num_groups, num_channels)
        self.groups, self.width = groups, width

    def forward(self, input: Tensor) -> Tensor:
        """(n, active width, ..), unchanged in shape."""
        weight, bias = self.part("weight"), self.part("bias")
        return functional.group_norm(input, self.groups, weight, bias, self.eps)

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """Groups and width."""
        return {"num_groups": self.groups, "num_channels": self.width}


def _width(layer: Elastic, active: Width | None) -> int:
    """The number of active channels, of the size that is declared last."""
    width = layer.full[-1][1] if active is None else active
    return sum(width) if isinstance(width, tuple) else width
