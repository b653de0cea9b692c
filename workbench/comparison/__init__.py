"""Runs and groups of seeds side by side; no torch."""
