"""The image that components run in, unless the pipeline is compiled for another."""

BASE_IMAGE = "ganvas-pipeline:local"
