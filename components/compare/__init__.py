"""From several judged models of the same data to one report: families side by side, and the tutorial's claims."""
