"""Hardware-aware transformers: the elastic translation transformer and its published latencies."""
