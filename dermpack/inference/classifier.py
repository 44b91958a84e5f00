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
from dermpack.inference.interpreter_process import InterpreterHost, InterpreterSession, open_host
from dermpack.inference.model_bytes import read_model
from dermpack.inference.model_settings import ModelSettings
from dermpack.inference.runtimes import Kernels, Runtime, first_installed
from dermpack.inference.tensors import Floats, Tensor, dequantize, input_table, soften, tensor_from, two_sided
from dermpack.progress import Track, silent

CHUNK = 16  # pictures in one message: the next ones are prepared meanwhile
MAX_SIDE = 2048  # of a model's input
CLASSIFIER = "Give a classifier with one input, which takes one square RGB picture, and one output."
Pixels = NDArray[np.uint8]


class Classifier:
    """Files in, probabilities out: float64 [n, k] in the order of `classes`."""

    def __init__(
        self, worker: InterpreterSession, sidecar: ModelSettings, input_: Tensor, output: Tensor, threads: int
    ) -> None:
        self._worker, self._sidecar, self._threads = worker, sidecar, threads
        self._output, self._table = output, input_table(input_)
        self.input = input_
        self.classes = sidecar.labels
        self.size = input_.shape[1]
        self.engine = str(worker.described["engine"])
        self.is_delegated = bool(worker.described["delegated"])

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """Prepare and classify the files; one that cannot be decoded is a PictureError that names it."""
        chunks = [files[at : at + CHUNK] for at in range(0, len(files), CHUNK)]
        parts: list[Floats] = []
        with ThreadPoolExecutor(self._threads) as pool:
            coming = self._submit(pool, chunks[0]) if chunks else []
            for at in track(range(len(chunks)), total=len(chunks), what="Classifying"):
                pixels = np.stack([picture.result() for picture in coming])
                coming = self._submit(pool, chunks[at + 1]) if at + 1 < len(chunks) else []
                parts.append(self.classify(pixels))
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)))

    def classify(self, pixels: Pixels) -> Floats:
        """Probabilities of prepared pictures, uint8 [n, size, size, 3]."""
        answer = self._worker.run(self._table[pixels].tobytes())
        outputs = np.frombuffer(answer, dtype=self._output.number.dtype).reshape(len(pixels), -1)
        real = two_sided(dequantize(outputs, self._output), self.classes)
        return soften(real, self._sidecar.temperature, floor=self._sidecar.floor)

    def _submit(self, pool: ThreadPoolExecutor, files: Sequence[Path]) -> list[Future[Pixels]]:
        policy = self._sidecar.policy
        return [pool.submit(prepare, file, self.size, policy=policy) for file in files]


@contextmanager
def open_classifier(
    path: Path, *, sidecar: ModelSettings, threads: int = 1, engine: Runtime | None = None
) -> Iterator[Classifier]:
    """Check the file, start an interpreter for it in a process of its own, check what it says."""
    model = read_model(path)
    with open_host(engine or first_installed()) as host:
        yield classifier_on(host, model, where=path, sidecar=sidecar, threads=threads)


def classifier_on(
    host: InterpreterHost,
    model: bytes,
    *,
    where: Path,
    sidecar: ModelSettings,
    threads: int = 1,
    kernels: Kernels = Kernels.XNNPACK,
) -> Classifier:
    """A classifier in a process that other models had before; it works until the next one comes."""
    worker = host.load(model, where=where, threads=threads, kernels=kernels)
    input_, output = _tensors(worker, where)
    _check_labels(sidecar, output, where)
    return Classifier(worker, sidecar, input_, output, threads)


def _tensors(worker: InterpreterSession, path: Path) -> tuple[Tensor, Tensor]:
    inputs, outputs = worker.described["inputs"], worker.described["outputs"]
    if len(inputs) != 1 or len(outputs) != 1:
        what = f"the model has {len(inputs)} inputs and {len(outputs)} outputs"
        raise InputError(path, what, CLASSIFIER, code="unsupported-model")
    try:
        input_, output = tensor_from(inputs[0]), tensor_from(outputs[0])
    except ValueError as error:
        what = f"the type of a tensor is not supported ({error})"
        raise InputError(path, what, CLASSIFIER, code="unsupported-model") from error
    side = input_.shape[1] if len(input_.shape) == 4 else 0
    if input_.shape != (1, side, side, 3) or not 0 < side <= MAX_SIDE:
        what = f"the input has shape {list(input_.shape)}, not that of one square RGB picture"
        raise InputError(path, what, CLASSIFIER, code="unsupported-model")
    return input_, output


def _check_labels(sidecar: ModelSettings, output: Tensor, path: Path) -> None:
    many = len(sidecar.labels)
    one_for_two = output.length == 1 and many == 2
    if output.length != many and not one_for_two:
        what = f"the model has {output.length} outputs, but there are {many} labels"
        hint = "Give --labels FILE with one label per output."
        raise InputError(path, what, hint, code="labels-mismatch")
