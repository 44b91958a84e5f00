"""Classify picture files with a .tflite, as an app would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.imaging import prepare
from dermpack.inference.interpreter_host import (
    InterpreterHost,
    InterpreterSession,
    Kernels,
    Runtime,
    first_installed_runtime,
    open_host,
)
from dermpack.inference.model_files import ModelSettings, read_model
from dermpack.inference.tensors import (
    Floats,
    Tensor,
    build_input_table,
    dequantize,
    expand_single_output,
    parse_tensor,
    soften,
)
from dermpack.progress import Track, silent

CHUNK = 16  # pictures in one request; the next ones are prepared while it runs
MAX_SIDE = 2048  # of a model's input
HINT = "Give a classifier with one input, which takes one square RGB picture, and one output."
Pixels = NDArray[np.uint8]


class Classifier:
    """A loaded model that returns probabilities, float64 [n, k] in the order of `classes`."""

    def __init__(
        self,
        session: InterpreterSession,
        sidecar: ModelSettings,
        input_: Tensor,
        output: Tensor,
        threads: int,
    ) -> None:
        self._session, self._sidecar, self._threads = session, sidecar, threads
        self._output, self._input_table = output, build_input_table(input_)
        self.input = input_
        self.classes = sidecar.labels
        self.size = input_.shape[1]
        self.engine = str(session.described["engine"])
        self.is_delegated = bool(session.described["delegated"])

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """Prepare and classify picture files; a PictureError names the file that cannot be decoded."""
        chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
        results: list[Floats] = []
        with ThreadPoolExecutor(self._threads) as pool:
            prepared = self._submit(pool, chunks[0]) if chunks else []
            for index in track(range(len(chunks)), total=len(chunks), what="Classifying"):
                pixels = np.stack([picture.result() for picture in prepared])
                # Prepare the next chunk in the pool while the interpreter runs this one.
                prepared = self._submit(pool, chunks[index + 1]) if index + 1 < len(chunks) else []
                results.append(self.classify(pixels))
        return np.concatenate(results) if results else np.empty((0, len(self.classes)))

    def classify(self, pixels: Pixels) -> Floats:
        """Return the probabilities of prepared pictures, uint8 [n, size, size, 3]."""
        # The 256 possible input numbers are computed once; indexing by the pixels is then fast.
        data = self._session.run(self._input_table[pixels].tobytes())
        outputs = np.frombuffer(data, dtype=self._output.number.dtype).reshape(len(pixels), -1)
        probabilities = expand_single_output(dequantize(outputs, self._output), self.classes)
        return soften(probabilities, self._sidecar.temperature, floor=self._sidecar.floor)

    def _submit(self, pool: ThreadPoolExecutor, files: Sequence[Path]) -> list[Future[Pixels]]:
        policy = self._sidecar.policy
        return [pool.submit(prepare, file, self.size, policy=policy) for file in files]


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
    return Classifier(session, sidecar, input_, output, threads)
