"""The pipeline's steps: one package a step, its core functions and a thin KFP adapter."""
