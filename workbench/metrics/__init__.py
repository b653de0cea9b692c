"""Measures of features and images: pure functions on arrays, each from a paper or a library."""
