"""Predictors: what a metric will be, learnt from the architectures measured so far."""
