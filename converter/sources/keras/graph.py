"""Define the network of a Keras file as a flat list of calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError

HINT = (
    "Give a classifier that consists of the layers listed in docs/bring-your-own-model.md, or convert it to "
    "a float .tflite first."
)
# What the configuration of a damaged or hostile file can raise where it is read.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasLayer:
    """A layer; several calls may share it."""

    kind: str
    name: str  # unique in the flat network
    options: Record
    route: tuple[str, ...]  # its name, after the names of the models that contain it
    stored: tuple[str, ...]  # the same with the names in a .keras file, which are made from the classes
    is_trainable: bool  # decides the order of variables in an .h5 file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One use of a layer: its operands are numbers of earlier calls, or constants."""

    layer: KerasLayer
    operands: tuple[int | NDArray[np.float64], ...]
    options: Record = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The numbers of the calls whose outputs it reads."""
        return tuple(operand for operand in self.operands if isinstance(operand, int))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasGraph:
    """A classifier as calls in the order of computation; call 0 is the pixels, the last one the answer."""

    calls: tuple[Call, ...]
    layers: tuple[KerasLayer, ...]  # in the order of the file
    shape: tuple[int | None, int | None, int | None]  # height, width and channels of the picture
    left_out: tuple[str, ...]  # the layers that act only in training
    is_keras3: bool


def network_error(
    where: Path, what: str, *, code: str = "unsupported-network", hint: str = HINT
) -> InputError:
    """Return the error for a file that contains something unsupported."""
    return InputError(where, what, hint, code=code)


def malformed_error(where: Path, error: Exception) -> InputError:
    """Return the error for a configuration that raised one of MALFORMED."""
    what = f"the configuration of the model is malformed ({type(error).__name__}: {error})"
    return network_error(where, what, code="invalid-model-file")
