"""Data to search on: scikit-learn's digits, and any tree of image folders."""
