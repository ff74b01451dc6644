"""What the report shows of a model beyond its numbers: nearest neighbours, paths and planes of the latent space."""
