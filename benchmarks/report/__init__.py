"""The benchmark report: schema, page, plots, terminal."""
