"""The search engines of DE-NAS."""
