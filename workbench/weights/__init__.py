"""Weights in and out: published checkpoints become runs, runs become files that other programs load."""
