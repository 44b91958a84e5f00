"""The zip at the end of a .tflite: labels and other associated files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

from dermpack.tflite.bounded_bytes import MAX_TEXT_BYTES, Malformed

END, END64_AT = b"PK\5\6", 20  # of the archive; the longer form is announced 20 bytes before it
END64 = b"PK\6\7"
TAIL_BYTES = 22 + (1 << 16)  # the end record with the longest comment
DIRECTORY_AT = 12  # its size, in the end record
MAX_DIRECTORY_BYTES = 1 << 20
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, KeyError)


def read_attachment(file: bytes, name: str) -> str:
    """The text of an associated file; Malformed where it is not there, or too large."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive, archive.open(name) as stream:
            data = stream.read(MAX_TEXT_BYTES + 1)
    except BROKEN as error:
        raise Malformed(f"associated file {name!r} cannot be read") from error
    if len(data) > MAX_TEXT_BYTES:
        raise Malformed(f"associated file {name!r} is larger than {MAX_TEXT_BYTES} bytes")
    return data.decode("utf-8", "replace")


def attach(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Append the files, stored and of a fixed time; offsets count from the start of the whole."""
    stream = io.BytesIO()
    stream.write(model)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = 0  # the same bytes on every system
            archive.writestr(entry, data)
    return stream.getvalue()


def _check_directory(file: bytes) -> None:
    """A directory of millions of entries would fill the memory before anything is asked of it."""
    tail_at = max(0, len(file) - TAIL_BYTES)
    end = file.rfind(END, tail_at)
    if end < 0 or end + TAIL_BYTES - (1 << 16) > len(file):
        raise Malformed("the metadata lists associated files, but the file does not contain them")
    size = int.from_bytes(bytes(memoryview(file)[end + DIRECTORY_AT : end + DIRECTORY_AT + 4]), "little")
    is_long = bytes(memoryview(file)[max(0, end - END64_AT) : end]).startswith(END64)
    if size > MAX_DIRECTORY_BYTES or is_long:
        raise Malformed("too many associated files")
