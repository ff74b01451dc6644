"""Speed and quality measured side by side with others; results, dated, in docs/benchmarks/."""
