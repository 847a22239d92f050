"""Elastic BERT: encoders of texts of elastic depth, width, heads and MLPs."""
