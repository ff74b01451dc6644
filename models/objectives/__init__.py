"""One formula, one function."""
