"""Atomic files and folders, file locks, cache folders, JSON and TOML."""
