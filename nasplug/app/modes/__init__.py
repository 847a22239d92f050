"""What `python -m nasplug mode=NAME` does: one file each."""
