"""What a model draws: reconstructions, samples, likelihood."""
