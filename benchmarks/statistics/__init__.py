"""Statistics of a benchmark: latency, speed-up, drift, accuracy."""
