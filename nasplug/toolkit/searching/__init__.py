"""For strategies: ask and tell, Pareto fronts, search on predictions, folds."""
