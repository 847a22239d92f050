"""Files of runs and exports, written and read back, also those of strangers."""
