"""Read the bytes of a .tflite, hostile until checked."""

from __future__ import annotations

import stat
from pathlib import Path

from dermpack.errors import InputError
from dermpack.storage.files import cannot_read

MAX_MODEL_BYTES = 512 << 20  # the largest network we know of is a fifth of it
IDENTIFIER, IDENTIFIER_AT = b"TFL3", 4  # of the flatbuffer
ZIP = b"PK\x03\x04"  # how a bundle begins
TFLITE = "Give the path of a .tflite file."


def read_model(path: Path) -> bytes:
    """The file's bytes, if they are worth showing to an interpreter."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(path, "not a regular file", TFLITE, code="not-a-file")
        if status.st_size > MAX_MODEL_BYTES:
            what = f"larger than {MAX_MODEL_BYTES >> 20} MiB"
            raise InputError(path, what, "Give a smaller model.", code="file-too-large")
        data = path.read_bytes()
    except FileNotFoundError as error:
        hint = "Give a .tflite file or an export folder."
        raise InputError(path, "the model does not exist", hint, code="model-not-found") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    if data.startswith(ZIP):
        hint = "Give the export folder, or unpack the bundle and give the model.tflite in it."
        raise InputError(path, "a zip file (a bundle?), not a .tflite", hint, code="invalid-model")
    if data[IDENTIFIER_AT : IDENTIFIER_AT + len(IDENTIFIER)] != IDENTIFIER:
        raise InputError(path, "not a TensorFlow Lite model", TFLITE, code="invalid-model")
    return data
