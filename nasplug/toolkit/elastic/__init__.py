"""Elastic layers, and the super-networks that are composed of them; public as `nasplug.elastic`."""
