"""Pack files into a zip of one fixed form, unpack only zips of this form, and check their sha256."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping

from dermpack.errors import InputError
from dermpack.storage.files import parse_relative_path, sha256_of

SUMS_FILE = "SHA256SUMS"
SUMS_LINE = re.compile(r"([0-9a-f]{64})  ([ -~]+)\Z")
LOCAL = struct.Struct("<4sHHHHHIIIHH")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_SIGNATURE, CENTRAL_SIGNATURE, END_SIGNATURE = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# Every file has the same time and permissions: noon of 1 January 1980, readable by everybody.
VERSION, STORED, NOON, NEW_YEAR_1980 = 20, 0, 12 << 11, 1 << 5 | 1
UNIX, PLAIN_FILE = 3 << 8, 0o100644 << 16
MAX_BUNDLE_BYTES = 1 << 30
MAX_FILES = 4096
MAX_NAME_BYTES = 240
AGAIN = "Get the bundle again from its original source."
NOT_OURS = 'Give a bundle that "dermpack package" made.'


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files, sorted and uncompressed: the same bytes on every machine."""
    local: list[bytes] = []
    central: list[bytes] = []
    offset = 0
    for name, data in sorted(files.items()):
        head = VERSION, 0, STORED, NOON, NEW_YEAR_1980, zlib.crc32(data), len(data), len(data), len(name), 0
        entry = (LOCAL.pack(LOCAL_SIGNATURE, *head), name.encode("ascii"), data)
        local += entry
        attributes = (CENTRAL_SIGNATURE, UNIX | VERSION, *head, 0, 0, 0, PLAIN_FILE, offset)
        central += [CENTRAL.pack(*attributes), name.encode("ascii")]
        offset += sum(map(len, entry))
    size_bytes = sum(map(len, central))
    end = END.pack(END_SIGNATURE, 0, 0, len(files), len(files), size_bytes, offset, 0)
    return b"".join([*local, *central, end])


def unpack_files(data: bytes, *, where: object) -> dict[str, bytes]:
    """Return the files of a zip from `pack_files`; nothing is written to the disk.

    The zip is hostile until checked. Compressed files are rejected, so nothing can expand. Then the files are
    packed again and must give the same bytes: this excludes links, comments, a second directory, and data
    between or after the files.
    """
    files: dict[str, bytes] = {}
    offset = 0
    while data.startswith(LOCAL_SIGNATURE, offset):
        name, content, offset = _read_entry(data, offset, where)
        if name in files or len(files) >= MAX_FILES:
            what = f"contains {name!r} twice" if name in files else f"contains more than {MAX_FILES} files"
            raise bundle_error(where, what)
        files[name] = content
    _check_names(files, where)
    if pack_files(files) != data:
        what = "invalid format (links, comments or hidden data in the zip, or another program packed it)"
        raise bundle_error(where, what)
    return files


def format_checksums(files: Mapping[str, bytes]) -> str:
    """Return one line per file, as `sha256sum -c` reads them."""
    others = sorted((name, data) for name, data in files.items() if name != SUMS_FILE)
    return "".join(f"{sha256_of(data)}  {name}\n" for name, data in others)


def check_checksums(files: Mapping[str, bytes], *, where: object) -> None:
    """Check that no file is missing, unknown or changed; nothing else is read before this check."""
    if SUMS_FILE not in files:
        raise bundle_error(where, f"contains no {SUMS_FILE}", NOT_OURS)
    # latin-1, because it decodes any byte. Only \n ends a line: other programs could see other names.
    lines = [SUMS_LINE.match(line) for line in files[SUMS_FILE].decode("latin-1").split("\n")[:-1]]
    listed = [(match[2], match[1]) for match in lines if match]
    expected = dict(sorted(listed))
    written = "".join(f"{sha256}  {name}\n" for name, sha256 in expected.items())
    if len(listed) != len(lines) or files[SUMS_FILE] != written.encode():
        raise bundle_error(where, f"{SUMS_FILE} is malformed")
    found = {name: sha256_of(data) for name, data in files.items() if name != SUMS_FILE}
    changed = {name for name in expected.keys() & found.keys() if expected[name] != found[name]}
    for what, names in (
        ("missing files", expected.keys() - found.keys()),
        (f"files that {SUMS_FILE} does not list", found.keys() - expected.keys()),
        ("changed files", changed),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise bundle_error(where, f"{what}: {min(names)}{more}")


def bundle_error(where: object, what: str, hint: str = AGAIN) -> InputError:
    """Return the error for a bundle that is incomplete, changed or malformed."""
    return InputError(where, what, hint, code="invalid-bundle")


def _read_entry(data: bytes, offset: int, where: object) -> tuple[str, bytes, int]:
    """Return name and content of a file, and the offset of the next one."""
    if offset + LOCAL.size > len(data):
        raise bundle_error(where, "the file is truncated")
    _, _, _, method, _, _, _, packed_bytes, _, name_bytes, extra_bytes = LOCAL.unpack_from(data, offset)
    if method != STORED:
        raise bundle_error(where, "contains a compressed file; a bundle stores its files uncompressed")
    name_start = offset + LOCAL.size
    start = name_start + name_bytes + extra_bytes
    end = start + packed_bytes
    if name_bytes > MAX_NAME_BYTES or end > len(data):
        raise bundle_error(where, "the file is truncated, or contains a file name that is too long")
    try:
        name = data[name_start : name_start + name_bytes].decode("ascii")
    except UnicodeDecodeError as error:
        raise bundle_error(where, "contains a file name that is not ASCII") from error
    return name, data[start:end], end


def _check_names(files: Mapping[str, bytes], where: object) -> None:
    """Check that every file can be unpacked into the folder, on every system."""
    folders: set[str] = set()
    spellings: dict[str, str] = {}  # in lower case → as spelled
    for name in files:
        path = parse_relative_path(name)
        if path is None or str(path) != name or ":" in name or not name.isprintable():
            what = f"contains the file name {name!r}, which is unsafe or leads out of the folder"
            raise InputError(where, what, AGAIN, code="hostile-file")
        folders |= {str(parent) for parent in path.parents}
    for name in sorted(folders & set(files)):
        raise bundle_error(where, f"contains a file and a folder with the same name: {name}")
    for name in files:
        other = spellings.setdefault(name.lower(), name)
        if other != name:
            raise bundle_error(where, f"contains file names that differ only in case: {other}, {name}")
