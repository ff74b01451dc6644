"""Where versions come from, and how one follows another."""
