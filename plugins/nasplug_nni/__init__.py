"""Spaces declared with nni: LayerChoice, InputChoice, Repeat, Cell; and its hub."""
