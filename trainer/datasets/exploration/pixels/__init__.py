"""Analyse the pixels of a dataset: suspected label errors, unusual pictures and shortcuts."""
