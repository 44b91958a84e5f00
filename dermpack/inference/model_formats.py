"""Recognize model files of other programs by their first bytes or their name, and what to do with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermpack.errors import InputError
from dermpack.storage.files import is_directory
from dermpack.storage.regular_files import read_beginning

BEGINNING_BYTES = 128
TFLITE, TFLITE_OFFSET = b"TFL3", 4  # of the flatbuffer
ZIP, HDF5, PICKLE, SAVED_GRAPH = b"PK\x03\x04", b"\x89HDF\r\n", b"\x80", b"\x08\x01\x12"
NAME_LENGTH_OFFSET, NAME_OFFSET = 26, 30  # of the first member of a zip
KERAS_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
TORCH_MEMBERS = ("data.pkl", ".format_version", "byteorder", "constants.pkl")
SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
TO_TFLITE = "Convert it to .tflite first, as docs/bring-your-own-model.md describes, and give that file."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFormat:
    """A format, as a message names it, and what to do with such a file: PATH in the hint is its path."""

    name: str
    hint: str


KERAS = ModelFormat(
    name="a Keras file",
    hint='Convert it first with "dermpack convert PATH -o EXPORT --labels FILE --data DATASET".',
)
SAVED_MODEL = ModelFormat(
    name="a SavedModel of TensorFlow",
    hint="Save the model as .keras, or convert it to .tflite with TensorFlow's TFLiteConverter.",
)
TORCH = ModelFormat(name="a PyTorch file", hint=TO_TFLITE)
PICKLED = ModelFormat(name="a pickle (of PyTorch or scikit-learn?)", hint=TO_TFLITE)
ARCHIVE = ModelFormat(
    name="a zip file (a bundle?)",
    hint="Give the export folder, or unpack the bundle and give the model.tflite in it.",
)
CORE_ML = ModelFormat(name="a Core ML model", hint=TO_TFLITE)
BY_ENDING = {
    **dict.fromkeys((".keras", ".h5", ".hdf5"), KERAS),
    **dict.fromkeys((".pt", ".pth", ".torchscript", ".pt2"), TORCH),
    **dict.fromkeys((".pb", ".pbtxt"), SAVED_MODEL),
    ".onnx": ModelFormat(name="an ONNX file", hint=TO_TFLITE),
    ".safetensors": ModelFormat(name="a file of weights (safetensors)", hint=TO_TFLITE),
    ".ckpt": ModelFormat(name="a checkpoint", hint=TO_TFLITE),
    ".mlmodel": CORE_ML,
}


def recognize_format(path: Path, beginning: bytes | None = None) -> ModelFormat | None:
    """Return the format of a file or folder, or None if it is a .tflite or unknown.

    `beginning` are the first bytes, if the caller has read them. The bytes count more than the name.
    """
    if is_directory(path):
        is_saved = any((path / name).is_file() for name in SAVED_MODEL_FILES)
        return SAVED_MODEL if is_saved else CORE_ML if path.suffix.lower() == ".mlpackage" else None
    data = read_beginning(path, BEGINNING_BYTES) if beginning is None else beginning[:BEGINNING_BYTES]
    if is_tflite_content(data):
        return None
    if data.startswith(HDF5):
        return KERAS
    named = BY_ENDING.get(path.suffix.lower())
    if data.startswith(ZIP):
        return _recognize_zip(data) or named or ARCHIVE
    if data.startswith(SAVED_GRAPH):
        return named or SAVED_MODEL
    if data.startswith(PICKLE):
        return named or PICKLED
    return named


def is_tflite_content(data: bytes) -> bool:
    """Return whether the first bytes are those of a .tflite."""
    return data[TFLITE_OFFSET:].startswith(TFLITE) and not data.startswith(ZIP)


def check_format(path: Path) -> None:
    """Raise InputError if a file or folder is recognized as a model of another format."""
    if (found := recognize_format(path)) is not None:
        raise _wrong_format_error(path, found)


def format_error(path: Path, beginning: bytes | None = None) -> InputError:
    """Return the error for a file or folder that is not a .tflite; it names the recognized format."""
    found = recognize_format(path, beginning)
    if found is None:
        what = "not a TensorFlow Lite model"
        hint = "Give the path of a .tflite file that was copied in binary mode."
        return InputError(path, what, hint, code="invalid-model")
    return _wrong_format_error(path, found)


def _wrong_format_error(path: Path, found: ModelFormat) -> InputError:
    hint = found.hint.replace("PATH", str(path))
    return InputError(path, f"{found.name}, not a .tflite", hint, code="invalid-model")


def _recognize_zip(data: bytes) -> ModelFormat | None:
    """Return the format by the name of the first member: "archive/data.pkl" is of PyTorch."""
    length = int.from_bytes(data[NAME_LENGTH_OFFSET:NAME_OFFSET][:2], "little")
    name = data[NAME_OFFSET : NAME_OFFSET + length].decode("utf-8", "replace")
    if name in KERAS_MEMBERS:
        return KERAS
    return TORCH if name.endswith(TORCH_MEMBERS) else None
