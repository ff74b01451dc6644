"""The end of a run on a cluster: what its steps left there is deleted, and MLflow is told."""
