"""Say in words what an input wants, and whether raw bytes will do."""

from __future__ import annotations

from dermpack.tflite.metadata import Metadata
from dermpack.tflite.model_file import TensorInfo

PIXEL_STEP, STEP_ERROR = 1 / 127.5, 1e-4  # relative; our models take pixels as -1 to 1
MIDDLES = {"uint8": (127, 128), "int8": (-1, 0)}
BYTES = tuple(MIDDLES)


def takes_raw_bytes(tensor: TensorInfo) -> bool:
    """Whether the numbers of an 8-bit input are the pixels: scale 1/127.5 around the middle."""
    if tensor.dtype not in MIDDLES or len(tensor.scales) != 1:
        return False
    is_pixel_step = abs(tensor.scales[0] / PIXEL_STEP - 1) < STEP_ERROR
    return is_pixel_step and tensor.zero_points[:1] in [(middle,) for middle in MIDDLES[tensor.dtype]]


def is_picture(tensor: TensorInfo) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[-1] == 3


def feed_words(tensor: TensorInfo, metadata: Metadata | None) -> str:
    """What an app hands over: "the pixels as they are …"."""
    if not is_picture(tensor):
        return f"{tensor.size_bytes} bytes of {tensor.dtype}; it is no RGB picture"
    if takes_raw_bytes(tensor):
        value = "the pixels as they are" if tensor.dtype == "uint8" else "each pixel less 128"
    elif tensor.dtype in BYTES and tensor.scales:
        value = f"round({_normalised(metadata)} / {tensor.scales[0]:.6g}) + {tensor.zero_points[0]}"
    elif tensor.dtype in BYTES:
        value = f"{tensor.dtype} whose scale the file does not say"
    else:
        value = _normalised(metadata)
    return f"{tensor.size_bytes} bytes: {value}, RGB, row by row"


def _normalised(metadata: Metadata | None) -> str:
    """The real value of pixel x."""
    if metadata is None or not metadata.mean or not metadata.std:
        return "a real value for pixel x that the file does not say (often x / 127.5 - 1)"
    if len(metadata.mean) == len(metadata.std) == 1:
        return f"(x - {metadata.mean[0]:g}) / {metadata.std[0]:g} of each pixel x"
    mean, std = ([f"{number:g}" for number in numbers] for numbers in (metadata.mean, metadata.std))
    return f"(x - [{', '.join(mean)}]) / [{', '.join(std)}] of each pixel x, by channel"
