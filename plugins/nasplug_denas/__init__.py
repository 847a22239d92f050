"""DE-NAS: convolutional, vision, language and speech networks, scored without training."""
