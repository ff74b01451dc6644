"""What the mathematics says: torch and numpy, no infrastructure at all."""
