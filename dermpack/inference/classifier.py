"""Classify picture files with a .tflite, as an app would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import (
    Activation,
    EvidenceOutput,
    FamiliarityOutput,
    MetadataColumn,
    MetadataEvidenceOutput,
    MetadataInput,
    OutputRecord,
    PictureLayout,
    TensorInterface,
    encode_metadata_row,
    find_tensor_name,
)
from dermpack.errors import InputError, count_noun
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.interpreter_host import (
    BINDING_HINT,
    SINGLE_TENSORS,
    InterpreterHost,
    InterpreterSession,
    Kernels,
    Runtime,
    TensorNames,
    first_installed_runtime,
    open_host,
)
from dermpack.inference.metadata_rows import MetadataVariant
from dermpack.inference.model_files import ModelSettings, read_model
from dermpack.inference.picture_feed import (
    Floats,
    Pixels,
    Tensor,
    build_feed,
    dequantize,
    parse_tensor,
    quantize,
)
from dermpack.progress import Track, silent

CHUNK = 16  # pictures in one request
MID_GREY = 128
MAX_SIDE = 2048  # of a model's input


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierOutputs:
    """All outputs of pictures as real values; None for an output that the file does not have."""

    probabilities: Floats  # [n, labels], under the temperature of the settings
    evidence: Floats | None = None  # [n, height, width, labels]
    metadata_evidence: Floats | None = None  # [n, labels]
    familiarity: Floats | None = None  # [n]; the greater, the less like the training pictures


def join_outputs(parts: Sequence[ClassifierOutputs]) -> ClassifierOutputs:
    """Return the outputs of all pictures as one."""

    def join(name: str) -> Floats | None:
        arrays = [getattr(part, name) for part in parts]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    names = ("evidence", "metadata_evidence", "familiarity")
    return ClassifierOutputs(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        **{name: join(name) for name in names},
    )


class Classifier:
    """A loaded model that returns probabilities, float64 [n, k] in the order of `classes`."""

    def __init__(
        self,
        session: InterpreterSession,
        decoder: PictureDecoder,
        sidecar: ModelSettings,
        inputs: dict[str, Tensor],
        outputs: dict[str, Tensor],
        model: bytes,
    ) -> None:
        self._session, self._decoder = session, decoder
        self.settings, self.model = sidecar, model
        self._inputs, self._outputs = inputs, outputs
        interface = sidecar.interface
        self._picture = find_tensor_name(interface.inputs, "picture") if interface else next(iter(inputs))
        self.input = inputs[self._picture]
        self._feed = build_feed(self.input, interface.picture if interface else None)
        self.classes = sidecar.labels
        self.size = self.input.shape[2]
        self.engine = session.engine
        self.is_delegated = bool(session.delegated)

    @property
    def input_format(self) -> tuple[int, Policy]:
        """The side of the input, and how a picture becomes a square."""
        return self.size, self.settings.policy

    @property
    def has_evidence(self) -> bool:
        """Whether the file returns evidence maps."""
        interface = self.settings.interface
        return interface is not None and interface.evidence is not None

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """Prepare and classify picture files; a PictureError names the file that cannot be decoded."""
        results = [outputs.probabilities for _, outputs in self.run_files(files, track=track)]
        return np.concatenate(results) if results else np.empty((0, len(self.classes)))

    def run_files(
        self, files: Sequence[Path], *, track: Track = silent
    ) -> Iterator[tuple[Pixels, ClassifierOutputs]]:
        """Yield the prepared pixels and the outputs of some picture files at a time."""
        # The decoder prepares the next pictures while the interpreter runs.
        starts = range(0, len(files), CHUNK)
        with closing(self._decoder.prepare_all(files, self.size, policy=self.settings.policy)) as prepared:
            for _ in track(starts, total=len(starts), what="Classifying"):
                pixels = np.stack(list(islice(prepared, CHUNK)))
                yield pixels, self.run(pixels)

    @property
    def columns(self) -> tuple[MetadataColumn, ...]:
        """The columns of its metadata input, if it has one."""
        interface = self.settings.interface
        return interface.metadata_columns if interface else ()

    @property
    def has_picture(self) -> bool:
        return True

    def predict_variants(
        self, files: Sequence[Path], variants: Sequence[MetadataVariant], *, track: Track = silent
    ) -> Floats:
        """Return [variants, n, k]: every picture with each variant of its metadata."""
        results: list[Floats] = []
        starts = range(0, len(files), CHUNK)
        with closing(self._decoder.prepare_all(files, self.size, policy=self.settings.policy)) as prepared:
            for start in track(starts, total=len(starts), what="Classifying"):
                pixels = np.stack(list(islice(prepared, CHUNK)))
                grey = np.full_like(pixels, MID_GREY)
                answers = [
                    self.classify(
                        grey if variant.hides_picture else pixels, variant.rows[start : start + CHUNK]
                    )
                    for variant in variants
                ]
                results.append(np.stack(answers))
        empty = np.empty((len(variants), 0, len(self.classes)))
        return np.concatenate(results, axis=1) if results else empty

    def classify(self, pixels: Pixels, metadata: NDArray[np.float32] | None = None) -> Floats:
        """Return the probabilities of prepared pictures, uint8 [n, size, size, 3]."""
        return self.run(pixels, metadata).probabilities

    def run_all(
        self, pixels: Pixels, metadata: NDArray[np.float32] | None = None, *, track: Track = silent
    ) -> ClassifierOutputs:
        """Return all outputs of any number of prepared pictures, which may be mapped from the disk."""
        starts = range(0, len(pixels), CHUNK)
        parts = []
        for start in track(starts, total=len(starts), what="Running the file"):
            chunk = slice(start, start + CHUNK)
            parts.append(self.run(np.asarray(pixels[chunk]), None if metadata is None else metadata[chunk]))
        return join_outputs(parts)

    def run(self, pixels: Pixels, metadata: NDArray[np.float32] | None = None) -> ClassifierOutputs:
        """Return all outputs of some prepared pictures; without rows of metadata, every field is missing."""
        fed = feed_rows(self.settings.interface, self._inputs, self._feed(pixels), metadata)
        answered = self._session.run(fed)
        interface, settings = self.settings.interface, self.settings
        real = {
            name: dequantize(np.frombuffer(data, dtype=self._outputs[name].dtype), self._outputs[name])
            for name, data in answered.items()
        }
        probabilities = read_probabilities(interface, real, len(pixels), settings.labels)
        outputs = interface.outputs if interface else {}
        return ClassifierOutputs(
            probabilities=soften(probabilities, settings.temperature, floor=settings.floor),
            evidence=_select(outputs, real, EvidenceOutput, len(pixels)),
            metadata_evidence=_select(outputs, real, MetadataEvidenceOutput, len(pixels)),
            familiarity=_select(outputs, real, FamiliarityOutput, len(pixels)),
        )


@contextmanager
def open_classifier(
    path: Path, *, sidecar: ModelSettings, threads: int = 1, engine: Runtime | None = None
) -> Iterator[Classifier]:
    """Yield a classifier in a child process of its own."""
    model = read_model(path)
    with open_host(engine or first_installed_runtime()) as host:
        yield load_classifier(host, model, where=path, sidecar=sidecar, threads=threads)


@contextmanager
def open_bytes(model: bytes, *, like: Classifier) -> Iterator[Classifier]:
    """Yield a classifier of another file with the same inputs and outputs, in a child process of its own."""
    with open_host(first_installed_runtime()) as host:
        yield load_classifier(host, model, where=Path("model.tflite"), sidecar=like.settings)


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
    interface = sidecar.interface
    session = host.load(
        model, where=where, threads=threads, kernels=kernels, names=names_of_tensors(interface)
    )
    try:
        inputs = {tensor.name: parse_tensor(tensor) for tensor in session.inputs}
        outputs = {tensor.name: parse_tensor(tensor) for tensor in session.outputs}
    except ValueError as error:
        what = f"the type of a tensor is not supported ({error})"
        raise InputError(where, what, BINDING_HINT, code="unsupported-model") from error
    # Square RGB pictures, one at a time; without a contract, in the order height, width, channels.
    picture = inputs[find_tensor_name(interface.inputs, "picture") if interface else session.inputs[0].name]
    is_nchw = interface is not None and interface.picture.layout is PictureLayout.NCHW
    side = picture.shape[2] if len(picture.shape) == 4 else 0
    expected = (1, 3, side, side) if is_nchw else (1, side, side, 3)
    if picture.shape != expected or not 0 < side <= MAX_SIDE:
        what = f"the input has shape {list(picture.shape)}, not that of one square RGB picture"
        raise InputError(where, what, BINDING_HINT, code="unsupported-model")
    name = find_tensor_name(interface.outputs, "probabilities") if interface else session.outputs[0].name
    count, length = len(sidecar.labels), outputs[name].length
    if length != count and not (length == 1 and count == 2):
        what = f"the model has {count_noun(length, 'output')}, but there are {count} labels"
        raise InputError(where, what, "Give --labels FILE with one label per output.", code="labels-mismatch")
    if interface is not None:
        _check_shapes(interface, inputs, outputs, where)
    return Classifier(session, host.decoder(threads), sidecar, inputs, outputs, model)


def _check_shapes(
    interface: TensorInterface, inputs: dict[str, Tensor], outputs: dict[str, Tensor], where: Path
) -> None:
    """Raise InputError unless the tensors besides picture and probabilities have the stated shapes."""
    for records, tensors in ((interface.inputs, inputs), (interface.outputs, outputs)):
        for name, record in records.items():
            if record.role not in ("picture", "probabilities") and tensors[name].shape != record.shape:
                what = (
                    f"{name} has the shape {list(tensors[name].shape)}, in the contract {list(record.shape)}"
                )
                raise InputError(where, what, "Export the model again.", code="contract-mismatch")


def names_of_tensors(interface: TensorInterface | None) -> TensorNames:
    """Return the names by which the tensors of a file are bound."""
    if interface is None:
        return SINGLE_TENSORS
    return TensorNames(
        signature=interface.signature, inputs=tuple(interface.inputs), outputs=tuple(interface.outputs)
    )


def feed_rows(
    interface: TensorInterface | None,
    tensors: dict[str, Tensor],
    picture: NDArray[Any],
    metadata: NDArray[np.float32] | None,
) -> dict[str, bytes]:
    """Return the bytes of each input: the numbers of pictures, and rows of metadata, float32 [n, slots].

    Without rows, every field of every row is missing.
    """
    fed: dict[str, bytes] = {}
    for name in tensors:
        record = interface.inputs[name] if interface else None
        if isinstance(record, MetadataInput):
            if metadata is None:
                row = encode_metadata_row(record.columns, {}, where=name)
                metadata = np.tile(np.array(row, np.float32), (len(picture), 1))
            fed[name] = quantize(metadata, tensors[name]).tobytes()
        else:
            fed[name] = picture.tobytes()
    return fed


def read_probabilities(
    interface: TensorInterface | None, real: dict[str, Floats], rows: int, labels: Sequence[str]
) -> Floats:
    """Return the probabilities [rows, labels] in the real values of outputs, before any temperature."""
    name = find_tensor_name(interface.outputs, "probabilities") if interface else next(iter(real))
    return interpret_answer(interface, real[name].reshape(rows, -1), labels)


def interpret_answer(interface: TensorInterface | None, values: Floats, labels: Sequence[str]) -> Floats:
    """Return the probabilities [rows, labels] in the real values of the answer, [rows, numbers].

    An activation that the file does not contain is applied here.
    """
    record = interface.probabilities if interface else None
    if record is not None and not record.applied:
        if record.activation is Activation.SIGMOID:
            values = 1 / (1 + np.exp(-values))
        else:
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            values = powers / powers.sum(axis=1, keepdims=True)
    return expand_single_output(values, labels)


def _select(
    outputs: Mapping[str, OutputRecord], real: dict[str, Floats], role: type[OutputRecord], rows: int
) -> Floats | None:
    """Return the real values of the output with the role: [rows, …], for a single number [rows]."""
    for name, record in outputs.items():
        if isinstance(record, role):
            shape = record.shape[1:]
            return real[name].reshape(rows, *(() if shape == (1,) else shape))
    return None


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
