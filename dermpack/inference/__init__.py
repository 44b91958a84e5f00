"""Run a .tflite as an app does, in a process of its own, on either interpreter.

What needs no numpy is imported at once, all else when it is asked for: so an interpreter's process can start
before its caller has imported anything heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dermpack.inference.interpreter_process import InterpreterHost, open_host
from dermpack.inference.runtimes import Kernels, Runtime, first_installed, installed

if TYPE_CHECKING:
    from dermpack.inference.classifier import MAX_SIDE, Classifier, classifier_on, open_classifier
    from dermpack.inference.model_settings import ModelSettings, find_sidecar, read_labels, read_sidecar

__all__ = [
    "MAX_SIDE",
    "Classifier",
    "InterpreterHost",
    "Kernels",
    "ModelSettings",
    "Runtime",
    "classifier_on",
    "find_sidecar",
    "first_installed",
    "installed",
    "open_classifier",
    "open_host",
    "read_labels",
    "read_sidecar",
]
LATE = {
    **dict.fromkeys(("MAX_SIDE", "Classifier", "classifier_on", "open_classifier"), "classifier"),
    **dict.fromkeys(("ModelSettings", "find_sidecar", "read_labels", "read_sidecar"), "model_settings"),
}


def __getattr__(name: str) -> object:
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
