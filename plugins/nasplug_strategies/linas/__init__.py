"""LINAS: the fewest measurements, by predictors that learn as the search goes."""
