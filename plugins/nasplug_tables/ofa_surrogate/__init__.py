"""The evaluator `ofa_surrogate`: published once-for-all predictors and latency tables."""
