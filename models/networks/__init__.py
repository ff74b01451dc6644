"""Generators, discriminators, encoders and decoders, built from settings."""
