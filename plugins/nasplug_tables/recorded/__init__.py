"""The evaluator `recorded`: a surrogate of what other searches measured."""
