"""Post-training quantization: calibration, ranges, bias correction."""
