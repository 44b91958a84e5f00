"""Records, pages and plots of studies and searches."""
