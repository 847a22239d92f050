"""Tasks on speech: words that were spoken, written down or classified."""
