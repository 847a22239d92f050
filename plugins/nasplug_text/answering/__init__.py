"""Questions whose answers are passages of a text."""
