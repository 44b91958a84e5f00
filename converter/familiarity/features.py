"""Measure the pooled features that a converted file computes for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.calibration import map_pictures
from converter.quantize.tflite_conversion import is_picture, open_interpreter
from dermpack.progress import Track, silent
from dermpack.tflite.graph_editing import GraphEditor

NAME = "pooled_features"


def measure_features(
    data: bytes,
    pictures: NDArray[np.uint8],
    *,
    labels: int,
    pixels: PixelScale = UNIT_SCALE,
    threads: int = 2,
    track: Track = silent,
) -> NDArray[np.float32]:
    """Return the features of pictures, uint8 [n, size, size, 3], as float32 [n, channels].

    They are those of the file, not of the network that it was made from: quantization moves them, and
    quantization-aware training changes them.
    """
    graph = GraphEditor(data)
    pooled = graph.as_float(graph.pool(graph.find_feature_map(labels=labels), f"{NAME}/pooled"), NAME)
    graph.output(pooled)
    pooling = graph.pack()

    def measure(interpreter: Any, _: int, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        for detail in interpreter.get_input_details():
            fed = _feed(picture, detail, pixels)
            # The features of a picture do not depend on the metadata, which is joined with them later.
            interpreter.set_tensor(
                detail["index"],
                fed if is_picture(detail["shape"]) else np.zeros(detail["shape"], detail["dtype"]),
            )
        interpreter.invoke()
        return np.array(interpreter.get_tensor(interpreter.get_output_details()[-1]["index"])[0], np.float32)

    workers = [open_interpreter(pooling) for _ in range(threads)]
    return np.stack(map_pictures(measure, workers, pictures, track=track, what="Measuring features"))


def _feed(picture: NDArray[np.uint8], detail: Mapping[str, Any], pixels: PixelScale) -> NDArray[Any]:
    """Return the input for a picture, in the type of the input."""
    values, dtype = pixels.apply(picture[None]), detail["dtype"]
    if dtype == np.float32:
        return values
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max), dtype)
