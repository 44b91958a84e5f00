"""Compute the shapes of a layer's variables from its options and the shape of its input.

They are compared with the file before tf_keras allocates anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def _conv_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    filters = int(options["filters"])
    kernel = (*_pair(options["kernel_size"]), shape[-1] // int(options["groups"]), filters)
    return [kernel, (filters,)][: 1 + bool(options["use_bias"])]


def _depthwise_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    kernel = (*_pair(options["kernel_size"]), shape[-1], int(options["depth_multiplier"]))
    return [kernel, (kernel[2] * kernel[3],)][: 1 + bool(options["use_bias"])]


def _separable_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    (depthwise, *_), filters = _depthwise_shapes(options, shape), int(options["filters"])
    pointwise = (1, 1, depthwise[2] * depthwise[3], filters)
    return [depthwise, pointwise, (filters,)][: 2 + bool(options["use_bias"])]


def _dense_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(shape[-1], int(options["units"])), (int(options["units"]),)][: 1 + bool(options["use_bias"])]


def _norm_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    axis = options["axis"][0] if isinstance(options["axis"], list | tuple) else options["axis"]
    if axis not in (-1, len(shape) - 1):
        raise ValueError("it does not normalize the last axis")
    return [(shape[-1],)] * (2 + bool(options["scale"]) + bool(options["center"]))


def _prelu_shapes(options: Mapping[str, Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    shared = options["shared_axes"] or ()
    return [tuple(1 if axis in shared else side for axis, side in enumerate(shape[1:], start=1))]


VARIABLE_SHAPES: Mapping[str, Callable[[Mapping[str, Any], tuple[int, ...]], list[tuple[int, ...]]]] = {
    "Conv2D": _conv_shapes,
    "DepthwiseConv2D": _depthwise_shapes,
    "SeparableConv2D": _separable_shapes,
    "Dense": _dense_shapes,
    "BatchNormalization": _norm_shapes,
    "PReLU": _prelu_shapes,
    "Normalization": lambda _options, _shape: [],
}
