"""For training loops: steps on gradients."""
