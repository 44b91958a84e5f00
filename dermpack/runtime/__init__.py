"""Run a .tflite as an app does, in a process of its own, on either interpreter."""

from dermpack.runtime.classifier import MAX_SIDE, Classifier, classifier_on, open_classifier
from dermpack.runtime.engine import Engine, Kernels, first_installed, installed
from dermpack.runtime.process import Host, open_host
from dermpack.runtime.sidecar import Sidecar, find_sidecar, read_labels, read_sidecar

__all__ = [
    "MAX_SIDE",
    "Classifier",
    "Engine",
    "Host",
    "Kernels",
    "Sidecar",
    "classifier_on",
    "find_sidecar",
    "first_installed",
    "installed",
    "open_classifier",
    "open_host",
    "read_labels",
    "read_sidecar",
]
