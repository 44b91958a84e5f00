"""Make an int8 candidate by selective quantization: the worst layers stay in floating point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import tensorflow as tf

from converter import _private
from converter.quantize.calibration import CalibrationSet
from converter.quantize.layer_errors import LayerError, measure_layer_errors
from converter.quantize.tflite_conversion import IoType, Quantization
from converter.search.candidate import Candidate, RangedModel
from converter.search.request import ConversionRequest, Method
from dermpack.progress import Track, silent

# How many layers to leave out, one count after the other: one or two often cause most of the loss, and ten
# of a hundred restored MobileNetV3.
COUNTS = (1, 2, 5, 10, 20)
COMPARED_PICTURES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerHarm:
    """The error that int8 adds to each layer, in the order of the network, and the time to measure it."""

    errors: tuple[LayerError, ...]
    seconds: float


def measure_layers(calibration: CalibrationSet, ranged: RangedModel, track: Track = silent) -> LayerHarm:
    """Measure the error of each layer with the measured ranges and corrected biases."""
    start_time = perf_counter()
    pictures = calibration.rows[:COMPARED_PICTURES]
    errors = measure_layer_errors(ranged.corrected(), pictures, track=track)
    return LayerHarm(errors=errors, seconds=perf_counter() - start_time)


def list_counts(layers: int) -> tuple[int, ...]:
    """Return how many of so many layers are left out, in turn: list_counts(7) → (1, 2, 3)."""
    most = layers // 2  # with more, the file would no longer be an int8 file
    return tuple(dict.fromkeys(min(count, most) for count in COUNTS))


def worst_layers(errors: Sequence[LayerError], *, count: int) -> tuple[str, ...]:
    """Return the layers with the greatest errors, greatest first; of equals, the one nearer to the input."""
    ranked = sorted(errors, key=lambda error: -error.error)
    return tuple(error.layer for error in ranked[:count])


def quantize_selectively(ranged: bytes, layers: Sequence[str], *, io: IoType) -> bytes:
    """Return the int8 file in which these layers stay in floating point."""
    return _private.quantize_int8(ranged, io=tf.as_dtype(io.value), float_layers=layers)


def make_selective_candidate(
    request: ConversionRequest,
    calibration: CalibrationSet,
    ranged: RangedModel,
    harm: LayerHarm,
    *,
    count: int,
) -> Candidate:
    """Leave the `count` worst layers in floating point."""
    start_time, io = perf_counter(), request.io_of(Quantization.INT8)
    # The errors of the layers are independent of each other, so the worst ones need no new measurement.
    layers = worst_layers(harm.errors, count=count)
    data = quantize_selectively(ranged.corrected(excluded=layers), layers, io=io)
    return Candidate(
        recipe=Quantization.INT8,
        io=io,
        method=Method.SELECTIVE,
        data=data,
        seconds=ranged.seconds + harm.seconds + perf_counter() - start_time,
        calibration=calibration,
        clipping=ranged.ranges.clipping,
        float_layers=layers,
        errors=harm.errors,
        notes=(f"selective: {len(layers)} of {len(harm.errors)} layers stay in floating point",),
    )
