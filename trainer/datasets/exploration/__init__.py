"""Describe a dataset before training: columns, sizes, samples, relations, and a report."""
