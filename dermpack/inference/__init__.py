"""Run a .tflite as an app does: in a child process, on either interpreter.

All names are loaded on first use, so that an interpreter's process can start before its parent imports numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermpack.inference.classifier import MAX_SIDE, Classifier, load_classifier, open_classifier
    from dermpack.inference.interpreter_host import (
        InterpreterHost,
        Kernels,
        Runtime,
        first_installed_runtime,
        installed_runtimes,
        open_host,
    )
    from dermpack.inference.model_files import ModelSettings, find_sidecar, read_labels, read_sidecar

__all__ = [
    "MAX_SIDE",
    "Classifier",
    "InterpreterHost",
    "Kernels",
    "ModelSettings",
    "Runtime",
    "find_sidecar",
    "first_installed_runtime",
    "installed_runtimes",
    "load_classifier",
    "open_classifier",
    "open_host",
    "read_labels",
    "read_sidecar",
]
CLASSIFIER_NAMES = ("MAX_SIDE", "Classifier", "load_classifier", "open_classifier")
MODEL_FILE_NAMES = ("ModelSettings", "find_sidecar", "read_labels", "read_sidecar")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in CLASSIFIER_NAMES:
        module = "classifier"
    else:
        module = "model_files" if name in MODEL_FILE_NAMES else "interpreter_host"
    return getattr(import_module(f"{__name__}.{module}"), name)
