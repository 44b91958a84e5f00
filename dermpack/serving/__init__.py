"""Serve a model over HTTP: a page and an API that answer pictures, and optionally collect them."""
