"""Servers of others, each as its documentation has one write it; run by the python of an environment of its own."""
