"""Scores of predictions with confidence intervals, calibration and decision thresholds."""
