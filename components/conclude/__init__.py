"""The end of a run on a cluster, as MLflow is told of it."""
