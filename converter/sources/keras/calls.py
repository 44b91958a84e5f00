"""Read how a layer is called, in the dialects of Keras 2 and Keras 3.

Keras 2 writes a call as [[name, call, output, options], …], Keras 3 as arguments with the origin
("keras_history") of each tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CONSTANT = 4_096  # numbers of a constant argument
CONSTANT = "_CONSTANT_VALUE"  # a tensor of Keras 2 that is a number
TENSOR, ELLIPSIS = "__keras_tensor__", "__ellipsis__"
CONSTANTS = ("__tensor__", "__numpy__")
OPERAND_OPTIONS = ("y", "x2", "bias", "other")  # names of the second operand
Reference = tuple[str, int, int]  # layer, number of its call, number of the output


def read_references(value: Any) -> list[Reference]:
    """Return the tensors that input_layers or output_layers list: one alone, or a list of them."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if len(value) == 3 and isinstance(value[0], str):
        value = [value]
    return [(str(name), int(number), int(output)) for name, number, output in value]


def read_call(call: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the operands (references or constants) and the options of a call."""
    operands: list[Any] = []
    if isinstance(call, Mapping):
        extra = {}
        arguments = list(call.get("args", ()))
        arguments += [value for key, value in call.get("kwargs", {}).items() if _is_operand(key, value)]
        for argument in arguments:
            parts = argument if isinstance(argument, list) and any(map(_is_tensor, argument)) else [argument]
            for part in parts:
                if _is_tensor(part):
                    name, number, output = part["config"]["keras_history"]
                    operands.append((str(name), int(number), int(output)))
                elif _is_item(part):
                    extra["item"] = _parse_item(part)
                else:
                    operands.append(_constant(part))
        options = {key: value for key, value in call.get("kwargs", {}).items() if not _is_operand(key, value)}
        # Keras 3 records the default of random layers, training=True, but a prediction sets it to False.
        options.pop("training", None)
        return operands, {**options, **extra}
    entries = [call] if isinstance(call[0], str) else call
    options = {}
    for entry in entries:
        operands.append(
            _constant(entry[2]) if entry[0] == CONSTANT else (str(entry[0]), int(entry[1]), int(entry[2]))
        )
        for key, value in (entry[3] if len(entry) > 3 else {}).items():
            if key == "slice_spec":
                options["item"] = _parse_item(value)
            elif key in OPERAND_OPTIONS and value is not None:
                is_reference = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
                operands.append(
                    (value[0], int(value[1]), int(value[2])) if is_reference else _constant(value)
                )
            else:
                options[key] = value
    return operands, options


def _is_operand(key: str, value: Any) -> bool:
    return _is_tensor(value) or (key in OPERAND_OPTIONS and value is not None)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == TENSOR


def _is_item(value: Any) -> bool:
    """Return whether it is an index such as [..., 2] or [..., ::-1]."""
    return isinstance(value, list) and any(
        isinstance(part, Mapping) and part.get("class_name") in (ELLIPSIS, "__slice__", "slice")
        for part in value
    )


def _parse_item(value: Any) -> tuple[Any, ...]:
    """Return an index with "..." for an ellipsis and (start, stop, step) for a slice."""
    parts: list[Any] = []
    for part in value:
        if not isinstance(part, Mapping):
            parts.append(int(part))
        elif part.get("class_name") == ELLIPSIS:
            parts.append("...")
        else:
            limits = part.get("config", part)
            parts.append(tuple(limits.get(key) for key in ("start", "stop", "step")))
    return tuple(parts)


def _constant(value: Any) -> NDArray[np.float64]:
    """Return a constant argument as numbers."""
    if isinstance(value, Mapping):
        if value.get("class_name") not in CONSTANTS:
            raise ValueError(f"an argument is a {value.get('class_name')!r}")
        value = value["config"]["value"]
    array = np.asarray(value, np.float64)
    if array.size > MAX_CONSTANT or not np.isfinite(array).all():
        raise ValueError("a constant is too large or not finite")
    return array
