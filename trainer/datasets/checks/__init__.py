"""Verify a dataset folder and warn about its problems."""
