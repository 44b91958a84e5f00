"""Collect pictures with consent, have them reviewed, and export them as a dataset."""
