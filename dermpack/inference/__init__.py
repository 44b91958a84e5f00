"""Run a .tflite as an app does: in a child process, on either interpreter."""
