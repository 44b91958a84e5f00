"""dermpack: from a folder of skin pictures to a small, fast, trustworthy .tflite."""

__version__ = "0.1.0"
