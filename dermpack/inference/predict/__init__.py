"""Predict picture files with a .tflite: find them, run the model, and apply its contract to the outputs."""
