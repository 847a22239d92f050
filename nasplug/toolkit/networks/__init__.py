"""For networks: calibration, counting, devices, seeding, weights, nested values."""
