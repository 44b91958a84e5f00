"""Read the bytes of a .tflite, hostile until checked."""

from __future__ import annotations

import stat
from pathlib import Path

from dermpack.errors import InputError

MAX_MODEL_BYTES = 512 << 20  # the largest network we know of is a fifth of it
IDENTIFIER, IDENTIFIER_AT = b"TFL3", 4  # of the flatbuffer
ZIP = b"PK\x03\x04"  # how a bundle begins


def read_model(path: Path) -> bytes:
    """The file's bytes, if they are worth showing to an interpreter."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(path, "is no file", "give a .tflite")
        if status.st_size > MAX_MODEL_BYTES:
            raise InputError(path, f"is larger than {MAX_MODEL_BYTES >> 20} MiB", "give a smaller model")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, "does not exist", "give a .tflite, or an export folder") from error
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from error
    if data.startswith(ZIP):
        cure = "give its export folder, or unpack it and give the model.tflite in it"
        raise InputError(path, "is a zip, like a bundle, and no .tflite", cure)
    if data[IDENTIFIER_AT : IDENTIFIER_AT + len(IDENTIFIER)] != IDENTIFIER:
        raise InputError(path, "is no TensorFlow Lite model", "give a .tflite")
    return data
