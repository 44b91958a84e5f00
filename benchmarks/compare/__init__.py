"""Compare two benchmark reports: what changed, and is it noise."""
