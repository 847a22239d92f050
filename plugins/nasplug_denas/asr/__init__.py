"""Speech transformers of DE-NAS: space, layers, network, costs."""
