"""Score a predictor on a dataset and write the report."""
