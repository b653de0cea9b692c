"""Measuring what a run has learnt: one file per evaluation, results stored in the run."""
