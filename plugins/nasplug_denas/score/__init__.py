"""The DE-Score: expressivity, NTK condition, diversity and saliency of an untrained network."""
