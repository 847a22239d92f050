"""Texts, or pairs of texts, each of a class."""
