"""From a model space of nni to a search space: its choices, when they count, and the networks."""
