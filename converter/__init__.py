"""From a trained model to a verified .tflite."""
