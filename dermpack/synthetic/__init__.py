"""Generated skin-like pictures for demonstrations and tests; they have no medical meaning."""
