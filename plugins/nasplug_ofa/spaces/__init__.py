"""The search spaces: design variables, networks, and the published way to write an architecture."""
