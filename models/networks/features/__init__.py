"""Networks that are not trained here: feature spaces that models are judged in."""
