"""Zero-cost proxies around any strategy: a warm start and proposed moves."""
