"""Training in several processes: collectives and synchronised BatchNorm."""
