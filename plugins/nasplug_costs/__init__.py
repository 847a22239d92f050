"""What a network costs: parameters, multiply-adds, latency on this machine."""
