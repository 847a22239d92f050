"""Neural collaborative filtering: an elastic recommender and its task."""
