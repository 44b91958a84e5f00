"""Choose an interpreter: both are first-class, one of them must be installed."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec

from dermpack.errors import MissingExtraError


class Runtime(Enum):
    """The packages that interpret a .tflite without TensorFlow, the kept one first."""

    LITERT = "ai_edge_litert"
    TFLITE_RUNTIME = "tflite_runtime"

    @property
    def package(self) -> str:
        """The name it is installed by: "ai-edge-litert"."""
        return self.value.replace("_", "-")


class Kernels(Enum):
    """What computes the operators: what the interpreter chooses unasked, or its own kernels alone."""

    XNNPACK = "xnnpack"
    BUILTIN = "none"


def installed() -> tuple[Runtime, ...]:
    return tuple(engine for engine in Runtime if find_spec(engine.value) is not None)


def first_installed() -> Runtime:
    """The interpreter to take where nobody asked for one."""
    for engine in installed():
        return engine
    raise MissingExtraError(Runtime.LITERT.value, "device")
