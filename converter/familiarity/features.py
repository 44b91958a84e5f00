"""Measure the pooled features that a converted file computes for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.quantize.calibration import map_pictures
from converter.quantize.tflite_conversion import open_interpreter, scale_pixels
from dermpack.progress import Track, silent
from dermpack.tflite.graph_editing import GraphEditor

NAME = "pooled_features"


def measure_features(
    data: bytes, pictures: NDArray[np.uint8], *, labels: int, threads: int = 2, track: Track = silent
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
        # A file may take metadata, too, which the features of a picture do not depend on.
        source = next(tensor for tensor in interpreter.get_input_details() if len(tensor["shape"]) == 4)
        interpreter.set_tensor(source["index"], _feed(picture, source["dtype"]))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(interpreter.get_output_details()[-1]["index"])[0], np.float32)

    workers = [open_interpreter(pooling) for _ in range(threads)]
    return np.stack(map_pictures(measure, workers, pictures, track=track, what="Measuring features"))


def _feed(picture: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    """Return the input for a picture; 8-bit files of our converter take the pixels, for int8 minus 128."""
    if dtype == np.float32:
        return scale_pixels(picture[None])
    return picture[None] if dtype == np.uint8 else (picture[None] ^ 128).view(np.int8)
