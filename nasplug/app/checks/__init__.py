"""What is checked before a search begins."""
