"""The evaluator `table`: measurements looked up by architecture."""
