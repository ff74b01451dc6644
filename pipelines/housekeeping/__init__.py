"""What may go: old runs, cached results, checkpoints and rejected versions."""
