"""Selective quantization as a way to a file of integers: some layers are spared."""

from __future__ import annotations

from time import perf_counter

from converter.candidate import Candidate, Material, Ranged
from converter.recipes import Recipe
from converter.request import Method, Request
from converter.selective import LayerError, keep_floats, layer_errors, worst
from dermpack.progress import Track, silent

COUNTS = (5, 10, 20)  # layers to spare, in turn; ten of a hundred were enough for MobileNetV3
PICTURES = 32  # to compare layers on


def read_errors(material: Material, ranged: Ranged, track: Track = silent) -> tuple[LayerError, ...]:
    """What integers do to each layer."""
    return layer_errors(ranged.data, material.rows[:PICTURES], track=track)


def by_sparing(
    request: Request, material: Material, ranged: Ranged, errors: tuple[LayerError, ...], *, count: int
) -> Candidate:
    """Leave the worst layers in floating point."""
    began, io = perf_counter(), request.io_of(Recipe.INT8)
    spared = worst(errors, count=min(count, len(errors) // 2))  # a file of floats would be another recipe
    selected = keep_floats(ranged.data, spared, io=io)
    return Candidate(
        recipe=Recipe.INT8,
        io=io,
        method=Method.SELECTIVE,
        data=selected.data,
        seconds=ranged.seconds + perf_counter() - began,
        material=material,
        kept=selected.kept,
        errors=errors,
        notes=(f"selective: {len(selected.kept)} of {len(errors)} layers stay in floating point",),
    )
