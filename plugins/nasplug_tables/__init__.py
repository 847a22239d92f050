"""Benchmarks as spaces, and recorded measurements as evaluators."""
