"""Trains super-networks, and measures their sub-networks with the weights they inherit."""
