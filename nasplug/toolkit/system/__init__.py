"""For work on a machine: caches, files, locks, progress, text."""
