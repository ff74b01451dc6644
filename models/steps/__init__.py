"""One update of each family; the loop around it lives with the pipeline's train step."""
