"""Recognize the normalization at the input of a Keras network, so that the contract can declare it.

Each call between the pixels and the first real layer is evaluated as a map of the three channels,
v = matrix · pixel + offset, whether Rescaling, Normalization or operations of preprocess_input compute it.
The maps are composed exactly; the normalization ends at the first call that is not such a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.pixel_scale import LARGEST_PIXEL, PIXEL_MIDDLE, UNIT_SCALE, PixelScale
from converter.sources.keras.graph import Call, KerasGraph, KerasLayer, network_error
from converter.sources.keras.weights import VariableFinder
from dermpack.contract import ColorOrder
from dermpack.errors import InputError

Floats = NDArray[np.float64]
CHANNELS = 3
EPSILON = 1e-7  # Keras divides by at least this
# A network of pixels from 0 to 255 gets values of such a width; if it took 0 to 1, they would be 255 times
# wider. Values that are only shifted are those of ResNet50 and VGG.
USUAL_WIDTHS = (0.5, 16.0)
CAFFE_OFFSETS = (-103.939, -116.779, -123.68)
BYTES = PixelScale(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
DIGITS = 9  # of mean and std in the contract: 1 / (1 / 255) is 255
ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide")
CLOSE = 1e-6
HINT = (
    "Declare with --input-range, or --mean and --std, which numbers the network was trained on "
    "(the code that prepared its training pictures shows it), or let --find-input find it."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelMap:
    """The values of a tensor: matrix [channels, 3] · pixel + offset."""

    matrix: Floats
    offset: Floats
    is_flat: bool = False  # one channel, whose axis was removed

    def is_same(self, other: ChannelMap) -> bool:
        """Whether both compute the same."""
        return self.matrix.shape == other.matrix.shape and bool(
            np.allclose(self.matrix, other.matrix, CLOSE, CLOSE)
            and np.allclose(self.offset, other.offset, CLOSE, CLOSE)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputNormalization:
    """The normalization of the pixels at the input of the network."""

    given: PixelScale  # what the file's own input takes
    pixels: PixelScale  # what the rebuilt network takes: the normalization, if all channels have the same one
    # The tensors at which the network begins, by the number of their call: None if it is the input itself,
    # else the map from the input to it, which stays in the graph.
    entry_maps: Mapping[int, ChannelMap | None]
    is_for_bytes: bool  # whether the file's own normalization proves that it takes 0 to 255
    description: str


def find_normalization(
    graph: KerasGraph,
    finder: VariableFinder,
    *,
    declared: PixelScale | None,
    color: ColorOrder,
    size: int,
    where: Path,
) -> InputNormalization:
    """Return the normalization of the pixels; an InputError names what must be declared, or must not.

    `color` is the order of the channels of a file that takes 0 to 255, which its normalization does not show.
    """
    maps = _evaluate(graph.calls, finder, size=size)
    # The tensors that something other than the normalization reads.
    readers = {
        number for index, call in enumerate(graph.calls) if index not in maps for number in call.inputs
    }
    entry_maps = {number: maps[number] for number in sorted(readers) if number in maps}
    if not entry_maps:
        raise network_error(where, "the model does not compute anything from a picture")
    if any(entry_map.is_flat for entry_map in entry_maps.values()):
        raise network_error(where, "the model takes the channels of a picture apart")
    is_for_bytes = all(_is_for_bytes(entry_map) for entry_map in entry_maps.values())
    if is_for_bytes:
        refuse_other_numbers(declared, where)
        given = replace(BYTES, color=color)
    elif declared is not None:
        given = declared
    else:
        raise _unknown_scale_error(list(entry_maps.values()), where)
    # From the bytes of a picture (RGB) to the file's own input, and on to each of these tensors.
    std = np.asarray(given.std)
    order = [2, 1, 0] if given.color is ColorOrder.BGR else [0, 1, 2]
    composed = {
        number: ChannelMap(
            matrix=(entry_map.matrix / std)[:, order],
            offset=entry_map.offset - entry_map.matrix @ (given.mean / std),
        )
        for number, entry_map in entry_maps.items()
    }
    first = next(iter(composed.values()))
    pixels = (_as_scale(first) if len(composed) == 1 else None) or UNIT_SCALE
    own = ChannelMap(matrix=np.diag(1 / np.asarray(pixels.std)), offset=-np.divide(pixels.mean, pixels.std))
    return InputNormalization(
        given=given,
        pixels=pixels,
        entry_maps={
            # The same map of pixels that are scaled to [-1, 1]: pixel = 127.5 · x + 127.5.
            number: None
            if entry_map.is_same(own)
            else ChannelMap(
                matrix=entry_map.matrix * PIXEL_MIDDLE,
                offset=entry_map.offset + (entry_map.matrix * PIXEL_MIDDLE).sum(axis=1),
            )
            for number, entry_map in composed.items()
        },
        is_for_bytes=is_for_bytes,
        description=_describe(given, pixels, is_moved=first.is_same(own)),
    )


def refuse_other_numbers(declared: PixelScale | None, where: Path) -> None:
    """Raise InputError if a file that takes 0 to 255 is declared to take other numbers."""
    if declared is not None and replace(declared, color=BYTES.color) != BYTES:
        what = "the file normalizes its pixels itself (it takes 0 to 255), so they cannot be declared"
        hint = "Omit --input-range, --mean and --std."
        raise InputError(where, what, hint, code="option-not-applicable")


def _describe(given: PixelScale, pixels: PixelScale, *, is_moved: bool) -> str:
    low, high = given.limits
    taken = f"the file takes {low:g} to {high:g}{', BGR' if given.color is ColorOrder.BGR else ''}"
    if not is_moved:
        return (
            f"{taken}; its normalization differs between the channels, so it stays in the network as a fixed "
            "convolution"
        )
    own_low, own_high = pixels.limits
    if given == pixels:
        return taken
    return f"{taken}; the network behind its normalization {own_low:g} to {own_high:g}"


def _unknown_scale_error(entry_maps: list[ChannelMap], where: Path) -> InputError:
    """Return the error for a file that does not show which numbers its input takes."""
    has_none = len(entry_maps) == 1 and entry_maps[0].is_same(
        ChannelMap(matrix=np.eye(CHANNELS), offset=np.zeros(3))
    )
    what = (
        "the file contains no normalization of its pixels"
        if has_none
        else "the normalization in the file does not show which numbers it takes"
    )
    return InputError(where, what, HINT, code="missing-normalization")


def _is_for_bytes(entry_map: ChannelMap) -> bool:
    widths = np.abs(entry_map.matrix).sum(axis=1) * LARGEST_PIXEL
    if ((widths >= USUAL_WIDTHS[0]) & (widths <= USUAL_WIDTHS[1])).all():
        return True
    is_shifted = np.allclose(widths, LARGEST_PIXEL) and len(widths) == CHANNELS
    return bool(is_shifted and np.allclose(np.sort(entry_map.offset), np.sort(CAFFE_OFFSETS), atol=1e-2))


def _as_scale(entry_map: ChannelMap) -> PixelScale | None:
    """Return the map as one mean and one std of all channels, or None if it is another one."""
    matrix, offset = entry_map.matrix, entry_map.offset
    if matrix.shape != (CHANNELS, CHANNELS) or matrix[0, 0] <= 0:
        return None
    is_uniform = np.allclose(matrix, np.eye(CHANNELS) * matrix[0, 0], rtol=CLOSE, atol=matrix[0, 0] * CLOSE)
    if not is_uniform or not np.allclose(offset, offset[0], rtol=CLOSE, atol=CLOSE):
        return None
    std = float(f"{1 / matrix[0, 0]:.{DIGITS}g}")
    mean = float(f"{-offset[0] / matrix[0, 0]:.{DIGITS}g}") + 0.0
    return PixelScale(mean=(mean, mean, mean), std=(std, std, std))


# --- Evaluation ---


def _evaluate(calls: tuple[Call, ...], finder: VariableFinder, *, size: int) -> dict[int, ChannelMap]:
    """Return the map of each call that is a map of the channels."""
    maps = {0: ChannelMap(matrix=np.eye(CHANNELS), offset=np.zeros(CHANNELS))}
    for number, call in enumerate(calls):
        if number and call.inputs and all(one in maps for one in call.inputs):
            found = _apply(
                call, [maps[one] if isinstance(one, int) else one for one in call.operands], finder, size
            )
            if found is not None:
                maps[number] = found
    return maps


def _apply(call: Call, operands: list[Any], finder: VariableFinder, size: int) -> ChannelMap | None:
    """Return the map that a call makes of maps and constants, or None if it is not a map of channels."""
    layer, first = call.layer, operands[0]
    if not isinstance(first, ChannelMap):
        return _combine(layer.kind, *operands) if layer.kind in ARITHMETIC and len(operands) == 2 else None
    match layer.kind:
        case "Rescaling":
            return _scale(first, layer.options["scale"], layer.options["offset"])
        case "Normalization":
            return _normalize(first, layer, finder)
        case "Cast":
            return (
                first
                if "float32" in str(call.options.get("dtype", layer.options.get("dtype", "float32")))
                else None
            )
        case "Resizing" if (layer.options["height"], layer.options["width"]) == (size, size):
            return first  # the picture has this size already
        case "GetItem":
            return _take(first, call.options.get("item", ()))
        case "Stack" if all(isinstance(one, ChannelMap) and one.is_flat for one in operands):
            return (
                ChannelMap(
                    matrix=np.concatenate([one.matrix for one in operands]),
                    offset=np.concatenate([one.offset for one in operands]),
                )
                if call.options.get("axis", -1) in (-1, 3)
                else None
            )
        case "Add" | "Subtract" | "Multiply" | "Divide" if len(operands) == 2:
            return _combine(layer.kind, *operands)
        case "Activation" if layer.options["activation"] == "linear":
            return first
    return None


def _scale(operand: ChannelMap, scale: Any, offset: Any) -> ChannelMap | None:
    factor, shift = _per_channel(_numbers(scale), operand), _per_channel(_numbers(offset), operand)
    if factor is None or shift is None:
        return None
    return ChannelMap(
        matrix=operand.matrix * factor[:, None],
        offset=operand.offset * factor + shift,
        is_flat=operand.is_flat,
    )


def _numbers(value: Any) -> Floats:
    """Return the numbers of an option, which Keras may wrap in {"config": {"value": …}}."""
    if isinstance(value, Mapping):
        value = value["config"]["value"]
    return np.asarray(value, np.float64)


def _per_channel(values: Floats, operand: ChannelMap) -> Floats | None:
    """Return one number for each channel, or None if the numbers depend on the position."""
    count = len(operand.offset)
    is_broadcast = values.size == 1 or (values.size == count and values.shape[-1:] == (count,))
    if not is_broadcast or (operand.is_flat and values.size != 1):
        return None
    return np.broadcast_to(values.reshape(-1), (count,)).astype(np.float64)


def _normalize(operand: ChannelMap, layer: KerasLayer, finder: VariableFinder) -> ChannelMap | None:
    options, count = layer.options, len(operand.offset)
    if options["invert"] or options["axis"] not in (-1, 3, [-1], [3], (-1,), (3,), None, []):
        return None
    numbers = (
        finder.find(layer, [None, None, None])[:2]
        if options["mean"] is None
        else [_numbers(options[key]) for key in ("mean", "variance")]
    )
    mean, variance = (np.asarray(one, np.float64).reshape(-1) for one in numbers)
    if {mean.size, variance.size} - {1, count}:
        return None
    deviation = np.maximum(np.sqrt(variance), EPSILON)
    return _scale(operand, 1 / deviation, -mean / deviation)


def _take(operand: ChannelMap, item: tuple[Any, ...]) -> ChannelMap | None:
    """Return the channels that an index selects: [..., 2], [..., ::-1], [:, :, :, 0:3]."""
    everything = (None, None, None)
    if len(item) < 2 or any(part not in ("...", everything) for part in item[:-1]) or operand.is_flat:
        return None
    if "..." not in item and len(item) != 4:
        return None
    index = item[-1] if isinstance(item[-1], int) else slice(*item[-1])
    matrix, offset = operand.matrix[index], operand.offset[index]
    is_flat = isinstance(index, int)
    return ChannelMap(matrix=matrix.reshape(-1, CHANNELS), offset=offset.reshape(-1), is_flat=is_flat)


def _combine(kind: str, first: Any, second: Any) -> ChannelMap | None:
    """Return the sum, difference, product or quotient of a map and a constant."""
    if isinstance(first, ChannelMap) and isinstance(second, ChannelMap):
        return None
    if isinstance(first, ChannelMap):
        match kind:
            case "Add":
                return _scale(first, 1.0, second)
            case "Subtract":
                return _scale(first, 1.0, -second)
            case "Multiply":
                return _scale(first, second, 0.0)
        return _scale(first, 1 / second, 0.0) if np.all(second) else None
    match kind:
        case "Add":
            return _scale(second, 1.0, first)
        case "Subtract":
            return _scale(second, -1.0, first)
        case "Multiply":
            return _scale(second, first, 0.0)
    return None
