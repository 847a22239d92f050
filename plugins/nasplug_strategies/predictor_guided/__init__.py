"""Strategies that measure what a predictor, once or repeatedly fitted, ranks highest."""
