"""mode=correlate: how well cheap scores tell which architectures are good."""
