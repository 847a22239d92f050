"""Proxies from gradients: of the loss for weights, of outputs for inputs, or of both."""
