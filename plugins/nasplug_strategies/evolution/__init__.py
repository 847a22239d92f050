"""Evolutionary strategies: populations, crossover, mutation and selection."""
