"""Evaluation of a predictor on a dataset, and its report."""
