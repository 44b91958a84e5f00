"""Run a .tflite as an app does, in a process of its own, on either interpreter."""

from dermpack.runtime.classifier import Classifier, open_classifier
from dermpack.runtime.engine import Engine
from dermpack.runtime.sidecar import Sidecar, find_sidecar, read_labels, read_sidecar

__all__ = [
    "Classifier",
    "Engine",
    "Sidecar",
    "find_sidecar",
    "open_classifier",
    "read_labels",
    "read_sidecar",
]
