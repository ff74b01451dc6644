"""The graphs, the named recipes, the local runner, submission and the command line."""
