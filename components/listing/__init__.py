"""What there is to prepare: the resolved recipe and a digest of the source's listing."""
