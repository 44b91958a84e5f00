"""Describe a dataset before training: columns, sizes, samples, report."""
