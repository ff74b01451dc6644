"""A bundle directory, read and verified."""
