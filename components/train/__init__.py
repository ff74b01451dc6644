"""From a Dataset to a Checkpoint."""
