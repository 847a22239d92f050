"""All networks of an nni space in one set of weights."""
