"""HTML pages and Markdown from templates, plots and contact sheets; nothing about one report."""
