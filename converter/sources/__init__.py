"""Where a network comes from: a run, a Keras file or a .tflite file."""
