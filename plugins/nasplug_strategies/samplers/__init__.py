"""Strategies that draw architectures: random, grid, local search, policy gradient, Optuna."""
