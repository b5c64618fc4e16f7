"""Speed, as ratios in one run: `python -m benchmarks`. Nothing here is a test; it prints a table."""
