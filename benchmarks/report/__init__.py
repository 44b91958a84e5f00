"""Report of a benchmark: record, page, Markdown, plots and terminal tables."""
