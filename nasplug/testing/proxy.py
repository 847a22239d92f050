"""What every zero-cost proxy must do."""

from __future__ import annotations


class ProxyContract:
    """Give a `proxy` fixture."""
