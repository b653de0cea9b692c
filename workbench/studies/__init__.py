"""Studies: many runs from one recipe, their tables and figures."""
