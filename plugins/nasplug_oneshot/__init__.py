"""One-shot search: one super-network is trained, and the architectures are chosen with its weights."""
