"""How features lie: similarity, agreement, neighbours, invariance, maps."""
