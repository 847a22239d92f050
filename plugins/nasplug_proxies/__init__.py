"""Zero-cost proxies: scores of untrained networks, and the evaluator that gives them."""
