"""Proxies that are sizes of the network and of its weights."""
