"""Scores of predictions with confidence intervals, calibration and decision thresholds."""

RESAMPLES = 1_000  # bootstrap samples of an interval; here, without numpy, because the command line shows it
