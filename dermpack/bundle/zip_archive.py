"""Put files into one zip with one possible form, and take them out of no other."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from dermpack.errors import InputError
from dermpack.storage.files import safe_relative

LOCAL = struct.Struct("<4sHHHHHIIIHH")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\3\4", b"PK\1\2", b"PK\5\6"
VERSION, STORED, NOON, NEW_YEAR_1980 = 20, 0, 12 << 11, 1 << 5 | 1
UNIX, PLAIN_FILE = 3 << 8, 0o100644 << 16
MAX_BUNDLE_BYTES = 1 << 30
MAX_FILES = 4096
MAX_NAME_BYTES = 240
AGAIN = "Get the bundle again from its original source."
NOT_OURS = 'Give a bundle that "dermpack package" made.'


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files: by name, uncompressed, one time, one permission; the same on every machine."""
    local: list[bytes] = []
    central: list[bytes] = []
    at = 0
    for name, data in sorted(files.items()):
        head = _head(name, data)
        entry = (LOCAL.pack(LOCAL_MARK, *head), name.encode("ascii"), data)
        local += entry
        marks = (CENTRAL_MARK, UNIX | VERSION, *head, 0, 0, 0, PLAIN_FILE, at)
        central += [CENTRAL.pack(*marks), name.encode("ascii")]
        at += sum(map(len, entry))
    size_bytes = sum(map(len, central))
    end = END.pack(END_MARK, 0, 0, len(files), len(files), size_bytes, at, 0)
    return b"".join([*local, *central, end])


def unzipped(data: bytes, *, where: object) -> dict[str, bytes]:
    """The files of a zip that `zipped` made; nothing is written, and nothing can be hidden.

    Nothing is compressed, so nothing can swell. What was found is zipped again and must be the same bytes:
    no link, no comment, no second directory, nothing between or behind the files.
    """
    files: dict[str, bytes] = {}
    at = 0
    while data.startswith(LOCAL_MARK, at):
        name, content, at = _entry(data, at, where)
        if name in files or len(files) >= MAX_FILES:
            what = f"contains {name!r} twice" if name in files else f"contains more than {MAX_FILES} files"
            raise refused(where, what)
        files[name] = content
    _check_names(files, where)
    if zipped(files) != data:
        what = (
            "invalid format (the zip contains links, comments or hidden data, or another program packed it)"
        )
        raise refused(where, what)
    return files


def refused(where: object, what: str, hint: str = AGAIN) -> InputError:
    """Return the error for a bundle that is incomplete, changed or malformed."""
    return InputError(where, what, hint, code="invalid-bundle")


def _head(name: str, data: bytes) -> tuple[int, ...]:
    return VERSION, 0, STORED, NOON, NEW_YEAR_1980, zlib.crc32(data), len(data), len(data), len(name), 0


def _entry(data: bytes, at: int, where: object) -> tuple[str, bytes, int]:
    """Name, content, and where the next one begins."""
    if at + LOCAL.size > len(data):
        raise refused(where, "the file is truncated")
    _, _, _, method, _, _, _, packed_bytes, _, name_bytes, extra_bytes = LOCAL.unpack_from(data, at)
    if method != STORED:
        raise refused(where, "contains a compressed file; a bundle stores its files uncompressed")
    name_at = at + LOCAL.size
    start = name_at + name_bytes + extra_bytes
    end = start + packed_bytes
    if name_bytes > MAX_NAME_BYTES or end > len(data):
        raise refused(where, "the file is truncated, or contains a file name that is too long")
    try:
        name = data[name_at : name_at + name_bytes].decode("ascii")
    except UnicodeDecodeError as error:
        raise refused(where, "contains a file name that is not ASCII") from error
    return name, data[start:end], end


def _check_names(files: Mapping[str, bytes], where: object) -> None:
    """Every name stays below where it is unpacked, on every system."""
    for name in files:
        if (
            safe_relative(name) is None
            or str(safe_relative(name)) != name
            or ":" in name
            or not name.isprintable()
        ):
            what = f"contains the file name {name!r}, which is unsafe or leads out of the folder"
            raise InputError(where, what, AGAIN, code="hostile-file")
    folders = {parent for name in files for parent in _parents(name)}
    for name in sorted(folders & set(files)):
        raise refused(where, f"contains a file and a folder with the same name: {name}")
    first_of: dict[str, str] = {}  # lower case → as spelled
    for name in files:
        other = first_of.setdefault(name.lower(), name)
        if other != name:
            raise refused(where, f"contains file names that differ only in case: {other}, {name}")


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
