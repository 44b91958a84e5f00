"""From .tflite files to figures of speed and accuracy."""

__all__: list[str] = []
