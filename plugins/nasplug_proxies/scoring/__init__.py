"""How a network is scored: its batches, the shared pass, the scores kept."""
