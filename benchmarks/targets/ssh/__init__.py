"""Run a benchmark on a machine that is reachable by ssh."""
