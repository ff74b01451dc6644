"""Where data comes from, one module a kind of source."""
