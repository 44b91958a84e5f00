"""Read and write named arrays in one .npz file: no pickle, deterministic bytes, validated when read."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.storage.files import read_error, write_bytes
from dermpack.storage.regular_files import open_regular

Array = NDArray[Any]
NPY: Any = np.lib.format  # its functions are untyped

MAX_ARRAYS = 20_000
MAX_BYTES = 4 << 30  # the largest network here is 0.1 GiB, its optimizer twice as much
MAX_RANK = 8
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip file: same arrays, same bytes
NUMBERS = "biuf"  # kinds of dtype that are plain numbers
HINT = "Create the file again."
# What zipfile raises, and numpy, which parses the header of an array as Python source.
MALFORMED = (
    *(zipfile.BadZipFile, struct.error, ValueError, TypeError, LookupError, OverflowError),
    *(EOFError, RuntimeError, MemoryError, SyntaxError, tokenize.TokenError),
)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write the arrays atomically to one file, in the order of their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array, member = arrays[name], io.BytesIO()
            # ascontiguousarray turns a scalar into an array of one dimension: restore its shape.
            NPY.write_array(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ZIP_TIME), member.getvalue())
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, Array]:
    """Return every array by its name; a pickled, compressed or oversized member raises InputError."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            # Sizes and names come from the file, so they are checked before memory is allocated for them.
            if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > MAX_BYTES:
                what = f"contains more than {MAX_ARRAYS} arrays or {MAX_BYTES >> 30} GiB"
                raise InputError(path, what, HINT, code="file-too-large")
            if len({member.filename for member in members}) < len(members):
                raise InputError(path, "contains two arrays with the same name", HINT, code="invalid-format")
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
                    what = f"{member.filename} is not an uncompressed .npy member"
                    raise InputError(path, what, HINT, code="invalid-format")
            return {member.filename.removesuffix(".npy"): _read(archive, member) for member in members}
    except OSError as error:
        raise read_error(path, error) from error
    except MALFORMED as error:
        what = f"not an .npz file of arrays ({error})"
        raise InputError(path, what, HINT, code="invalid-format") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Read one array; its header is compared with the member's size before memory is allocated."""
    with archive.open(member) as file:
        if NPY.read_magic(file) != (1, 0):
            raise ValueError("unsupported version of the .npy format")
        shape, is_fortran, dtype = NPY.read_array_header_1_0(file)
        if is_fortran or dtype.kind not in NUMBERS or len(shape) > MAX_RANK or min(shape, default=0) < 0:
            raise ValueError(f"unsupported array: dtype {dtype}, shape {shape}")
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes > member.file_size:
            raise ValueError(f"{member.filename} is shorter than its header declares")
        data = file.read()
    if len(data) != size_bytes:
        raise ValueError(f"{member.filename} has {len(data)} bytes instead of {size_bytes}")
    # A bytearray makes the array writable; an array on immutable bytes would be read-only.
    return np.frombuffer(bytearray(data), dtype).reshape(shape)
