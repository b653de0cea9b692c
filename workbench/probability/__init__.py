"""Diffusion processes, observation models, latent variables and the solvers that sample them."""
