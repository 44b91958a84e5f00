"""Pages, plots and contact sheets."""
