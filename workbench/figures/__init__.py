"""Figures for print; no torch."""
