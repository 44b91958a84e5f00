"""Classify picture files with a .tflite, as an app would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.inference.interpreter_host import (
    InterpreterHost,
    InterpreterSession,
    Kernels,
    Runtime,
    first_installed_runtime,
    open_host,
)
from dermpack.inference.model_files import ModelSettings, read_model
from dermpack.progress import Track, silent

CHUNK = 16  # pictures in one request
MAX_SIDE = 2048  # of a model's input
HINT = "Give a classifier with one input, which takes one square RGB picture, and one output."
LOWEST, HIGHEST = -1.0, 1.0  # the inputs of our models for the pixels 0 and 255
# Real values of the pixels 0 and 255 for which the 8-bit input equals the pixel.
PIXEL_RANGES = ((LOWEST, HIGHEST), (0.0, 1.0), (0.0, 255.0))
RANGE_ERROR = 0.02  # of the range, since the zero point for 127.5 is rounded to 127 or 128
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class Classifier:
    """A loaded model that returns probabilities, float64 [n, k] in the order of `classes`."""

    def __init__(
        self,
        session: InterpreterSession,
        decoder: PictureDecoder,
        sidecar: ModelSettings,
        input_: Tensor,
        output: Tensor,
    ) -> None:
        self._session, self._decoder, self._sidecar = session, decoder, sidecar
        self._output, self._input_table = output, build_input_table(input_)
        self.input = input_
        self.classes = sidecar.labels
        self.size = input_.shape[1]
        self.engine = str(session.described["engine"])
        self.is_delegated = bool(session.described["delegated"])

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """Prepare and classify picture files; a PictureError names the file that cannot be decoded."""
        # The decoder prepares the next pictures while the interpreter runs.
        results: list[Floats] = []
        starts = range(0, len(files), CHUNK)
        with closing(self._decoder.prepare_all(files, self.size, policy=self._sidecar.policy)) as prepared:
            for _ in track(starts, total=len(starts), what="Classifying"):
                results.append(self.classify(np.stack(list(islice(prepared, CHUNK)))))
        return np.concatenate(results) if results else np.empty((0, len(self.classes)))

    def classify(self, pixels: Pixels) -> Floats:
        """Return the probabilities of prepared pictures, uint8 [n, size, size, 3]."""
        # The 256 possible input numbers are computed once; `take` is three times as fast as indexing.
        data = self._session.run(self._input_table.take(pixels).tobytes())
        outputs = np.frombuffer(data, dtype=self._output.number.dtype).reshape(len(pixels), -1)
        probabilities = expand_single_output(dequantize(outputs, self._output), self.classes)
        return soften(probabilities, self._sidecar.temperature, floor=self._sidecar.floor)


@contextmanager
def open_classifier(
    path: Path, *, sidecar: ModelSettings, threads: int = 1, engine: Runtime | None = None
) -> Iterator[Classifier]:
    """Yield a classifier in a child process of its own."""
    model = read_model(path)
    with open_host(engine or first_installed_runtime()) as host:
        yield load_classifier(host, model, where=path, sidecar=sidecar, threads=threads)


def load_classifier(
    host: InterpreterHost,
    model: bytes,
    *,
    where: Path,
    sidecar: ModelSettings,
    threads: int = 1,
    kernels: Kernels = Kernels.XNNPACK,
) -> Classifier:
    """Load a model into the host's process and check its tensors; valid until the next model is loaded."""
    session = host.load(model, where=where, threads=threads, kernels=kernels)
    inputs, outputs = session.described["inputs"], session.described["outputs"]
    if len(inputs) != 1 or len(outputs) != 1:
        what = f"the model has {len(inputs)} inputs and {len(outputs)} outputs"
        raise InputError(where, what, HINT, code="unsupported-model")
    try:
        input_, output = parse_tensor(inputs[0]), parse_tensor(outputs[0])
    except ValueError as error:
        what = f"the type of a tensor is not supported ({error})"
        raise InputError(where, what, HINT, code="unsupported-model") from error
    # Square RGB pictures in the order height, width, channels, one at a time.
    side = input_.shape[1] if len(input_.shape) == 4 else 0
    if input_.shape != (1, side, side, 3) or not 0 < side <= MAX_SIDE:
        what = f"the input has shape {list(input_.shape)}, not that of one square RGB picture"
        raise InputError(where, what, HINT, code="unsupported-model")
    count = len(sidecar.labels)
    is_sigmoid = output.length == 1 and count == 2
    if output.length != count and not is_sigmoid:
        what = f"the model has {output.length} outputs, but there are {count} labels"
        raise InputError(where, what, "Give --labels FILE with one label per output.", code="labels-mismatch")
    return Classifier(session, host.decoder(threads), sidecar, input_, output)


class IoNumber(Enum):
    """The number types of inputs and outputs that an app can feed and read."""

    FLOAT32 = "float32"
    UINT8 = "uint8"
    INT8 = "int8"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output; a scale of 0 means that its numbers are not quantized."""

    shape: tuple[int, ...]
    number: IoNumber
    scale: float
    zero_point: int

    @property
    def length(self) -> int:
        return int(np.prod(self.shape))


def parse_tensor(described: dict[str, Any]) -> Tensor:
    """Return the tensor that the interpreter describes; raise ValueError for a type that no app can use."""
    return Tensor(
        shape=tuple(int(side) for side in described["shape"]),
        number=IoNumber(described["dtype"]),
        scale=float(described["scale"]),
        zero_point=int(described["zero_point"]),
    )


def build_input_table(tensor: Tensor) -> NDArray[Any]:
    """Return the input number for each of the 256 values of a pixel: float32 → -1 … 1, 8-bit → the pixel.

    An 8-bit input whose scale and zero point define another range gets quantized values of -1 … 1.
    """
    pixels = np.arange(256)
    real = LOWEST + (HIGHEST - LOWEST) * pixels / 255
    if tensor.number is IoNumber.FLOAT32:
        return real.astype(np.float32)
    # Converters scale 8-bit inputs so that most of them are the pixels themselves, for int8 minus 128.
    limits = np.iinfo(tensor.number.dtype)
    ends = [(number - tensor.zero_point) * tensor.scale for number in (limits.min, limits.max)]
    takes_pixels = any(
        max(abs(ends[0] - low), abs(ends[1] - high)) <= RANGE_ERROR * (high - low)
        for low, high in PIXEL_RANGES
    )
    if tensor.scale == 0 or takes_pixels:
        return (pixels + limits.min).astype(tensor.number.dtype)
    # Any other 8-bit input is quantized with its scale and zero point.
    steps = np.rint(real / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=tensor.number.dtype)


def dequantize(outputs: NDArray[Any], tensor: Tensor) -> Floats:
    """Return the real values of outputs: 128 at scale 1/256 and zero point 0 → 0.5."""
    values = outputs.astype(np.float64)
    return values if tensor.scale == 0 else (values - tensor.zero_point) * tensor.scale


def soften(probabilities: Floats, temperature: float, *, floor: float = 0.0) -> Floats:
    """Raise probabilities to the floor, divide their logarithms by the temperature, and normalise."""
    if temperature == 1.0 and floor == 0.0:
        return probabilities  # not a bit may change without a temperature
    # p ** (1 / T) is exp(log(p) / T). Dividing by the largest first keeps the powers from underflowing.
    raised = np.maximum(probabilities, floor)
    powers = (raised / raised.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def expand_single_output(probabilities: Floats, labels: Sequence[str]) -> Floats:
    """Return both probabilities of a sigmoid: its single output is the probability of the second label."""
    if probabilities.shape[1] == 1 and len(labels) == 2:
        return np.concatenate([1 - probabilities, probabilities], axis=1)
    return probabilities
