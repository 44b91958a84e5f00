"""From a trained model to a verified .tflite."""

__all__: list[str] = []
