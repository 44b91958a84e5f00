"""Where a network comes from: a run folder."""
