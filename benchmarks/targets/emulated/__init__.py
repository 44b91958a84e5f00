"""Run a benchmark on an emulated ARM processor and count its instructions."""
