"""From a Dataset to the feature space and the modes that a model is judged in."""
