"""The evaluator `hat_latency`: published latency predictors of hardware-aware transformers."""
