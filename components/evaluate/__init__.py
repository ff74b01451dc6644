"""From a Bundle and a Dataset to a Report with a verdict."""
