"""From a source to a Dataset: shards, splits and a manifest."""
