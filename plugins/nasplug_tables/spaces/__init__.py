"""The spaces of published benchmarks, with networks that can be built."""
