"""How to search: the builtin strategies."""
