"""Long proofs, run by ``make campaign NAME=...``; their results are kept under docs/benchmarks."""
