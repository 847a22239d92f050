"""Proxies from what activation units and feature maps show of a network in one pass."""
