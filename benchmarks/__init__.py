"""From .tflite files to figures of speed and accuracy."""
