"""Verify dataset folders, and warn about properties that make scores misleading."""
