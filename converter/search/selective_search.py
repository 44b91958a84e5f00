"""Selective quantization as a way to a file of integers: some layers are spared."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from converter.quantize.tflite_conversion import Quantization
from converter.search.candidate import CalibrationSet, Candidate, RangedModel
from converter.search.request import ConversionRequest, Method
from converter.search.selective import LayerError, keep_floats, layer_errors, worst
from dermpack.progress import Track, silent

# Layers to spare, in turn: one or two often hold most of the loss, and ten of a hundred restored MobileNetV3.
COUNTS = (1, 2, 5, 10, 20)
PICTURES = 32  # to compare layers on


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerHarm:
    """What integers do to each layer, from the pixels up, and how long it took to see that."""

    errors: tuple[LayerError, ...]
    seconds: float


def weigh(material: CalibrationSet, ranged: RangedModel, track: Track = silent) -> LayerHarm:
    """Compare the layers of the network as its measured ranges have it."""
    began = perf_counter()
    errors = layer_errors(ranged.corrected(), material.rows[:PICTURES], track=track)
    return LayerHarm(errors=errors, seconds=perf_counter() - began)


def counts_for(layers: int) -> tuple[int, ...]:
    """How many of so many layers are spared, in turn: counts_for(7) → (1, 2, 3)."""
    most = layers // 2  # a file of floats would be another recipe
    return tuple(dict.fromkeys(min(count, most) for count in COUNTS))


def by_sparing(
    request: ConversionRequest,
    material: CalibrationSet,
    ranged: RangedModel,
    weighed: LayerHarm,
    *,
    count: int,
) -> Candidate:
    """Leave the worst layers in floating point."""
    began, io = perf_counter(), request.io_of(Quantization.INT8)
    layers = worst(weighed.errors, count=count)
    selected = keep_floats(ranged.corrected(but=layers), layers, io=io)
    return Candidate(
        recipe=Quantization.INT8,
        io=io,
        method=Method.SELECTIVE,
        data=selected.data,
        seconds=ranged.seconds + weighed.seconds + perf_counter() - began,
        material=material,
        clipping=ranged.ranges.clipping,
        kept=selected.kept,
        errors=weighed.errors,
        notes=(f"selective: {len(selected.kept)} of {len(weighed.errors)} layers stay in floating point",),
    )
