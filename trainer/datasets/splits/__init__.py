"""Assign pictures to splits and keep related pictures together."""
