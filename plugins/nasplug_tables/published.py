"""Spaces that know the notation in which their networks were published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from nasplug.contracts.types import Architecture


@runtime_checkable
class Published(Protocol):
    """A once-for-all space: `ks`, `e`, `d` of MobileNetV3, or `d`, `e`, `w` of ResNet-50."""

    def from_ofa(self, config: Mapping[str, Any]) -> Architecture:
        """The architecture of a published configuration."""

    def to_ofa(self, arch: Architecture) -> Mapping[str, Any]:
        """The published configuration of an architecture."""
