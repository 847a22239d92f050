"""The search itself: the loop, the ledger, executors, the run folder."""
