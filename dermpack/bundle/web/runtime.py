"""Read LiteRT.js, the runtime of web bundles, from npm's packages; other bytes than the locked are refused.

dermpack downloads nothing: the user runs one npm command, which stores two packages in dermpack's cache
folder. litert.json names them with the SHA-512 that npm lists, and each file that a bundle contains with its
size and SHA-256. A bundle stores the WebAssembly files with gzip, because many hosts of static files do not
compress them; the page unpacks them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shlex
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dermpack.errors import InputError
from dermpack.storage.codec import check, check_sha256, decode
from dermpack.storage.files import format_json, path_exists, read_bytes, read_json, sha256_of
from dermpack.storage.shared_folders import cache_folder

LOCK_FILE = Path(__file__).with_name("litert.json")
SCHEMA = 1
MAX_PACKAGE_BYTES = 64 << 20
# The only change to a file: a browser finds modules by their paths, not by the names of packages.
IMPORT, LOCAL_IMPORT = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'
COMPRESSED, GZIP_ENDING = ".wasm", ".gz"
UNPACKED_FILE = "unpacked.json"  # what the page compares after unpacking
# Without name and time. The level stands in it as "best", the system as "unknown".
GZIP_HEAD = bytes.fromhex("1f8b08000000000002ff")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePackage:
    """A package of npm: its tarball as `npm pack` names it, and the hash that npm lists, in base64."""

    tarball: str
    sha512: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFile:
    """A file of a package; size and hash are those of its shipped form, before it is compressed."""

    package: str
    path: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        check_sha256("sha256", self.sha256)
        check(0 < self.size_bytes <= MAX_PACKAGE_BYTES, "size_bytes", self.size_bytes, "the size of a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeLock:
    """The content of litert.json: the runtime's packages, and its files by their names before compression."""

    schema: int = SCHEMA
    name: str
    version: str
    licence: str
    packages: Mapping[str, RuntimePackage]
    files: Mapping[str, RuntimeFile]

    def __post_init__(self) -> None:
        check(self.schema == SCHEMA, "schema", self.schema, str(SCHEMA))
        for name, file in self.files.items():
            check(file.package in self.packages, f"{name}.package", file.package, "one of the packages")

    @property
    def title(self) -> str:
        """Its name and version in words: "LiteRT.js 2.5.3"."""
        return f"{self.name} {self.version}"

    @property
    def coordinates(self) -> str:
        """The main package as records name it: "npm:@litertjs/core:2.5.3"."""
        return f"npm:{next(iter(self.packages))}:{self.version}"


@cache
def read_lock() -> RuntimeLock:
    """Return the lock of the runtime that this version of dermpack ships in web bundles."""
    return decode(RuntimeLock, read_json(LOCK_FILE))


def runtime_folder() -> Path:
    """Return the folder in which the packages are looked for."""
    return cache_folder() / "litert"


def is_runtime_cached() -> bool:
    """Return whether the packages are in the cache; their bytes are not compared."""
    return all((runtime_folder() / package.tarball).is_file() for package in read_lock().packages.values())


def npm_command(lock: RuntimeLock) -> str:
    """Return the command that stores the packages in the cache; it runs no script of a package."""
    folder = shlex.quote(str(runtime_folder()))
    names = " ".join(f"{name}@{lock.version}" for name in lock.packages)
    return f"mkdir -p {folder} && npm pack --ignore-scripts --pack-destination {folder} {names}"


def read_runtime(source: Path | None = None, *, lock: RuntimeLock | None = None) -> dict[str, bytes]:
    """Return the files of the runtime by their names in a bundle, or raise InputError.

    `source` is a folder with the tarballs or with `node_modules`, or the tarball of the main package with
    the others next to it; without it, they are in dermpack's cache folder.
    """
    lock = lock or read_lock()
    place = source or runtime_folder()
    folder = place.parent if place.is_file() else place
    modules = folder / "node_modules"
    read = _read_modules(modules, lock) if modules.is_dir() else _read_tarballs(folder, lock)
    files = {UNPACKED_FILE: describe_unpacked(lock)}
    for name, file in lock.files.items():
        data = read[name]
        if name.endswith(".js"):
            data = data.replace(IMPORT, LOCAL_IMPORT)
        if len(data) != file.size_bytes or sha256_of(data) != file.sha256:
            raise _mismatch(folder / name, lock)
        files[shipped_name(name)] = pack_gzip(data) if name.endswith(COMPRESSED) else data
    return files


def shipped_name(name: str) -> str:
    """Return the name in a bundle of a file of the lock."""
    return f"{name}{GZIP_ENDING}" if name.endswith(COMPRESSED) else name


def describe_unpacked(lock: RuntimeLock) -> bytes:
    """Return the JSON file from which the page takes size and hash of what it unpacks."""
    return format_json(
        {
            name: {"sha256": file.sha256, "size_bytes": file.size_bytes}
            for name, file in lock.files.items()
            if name.endswith(COMPRESSED)
        }
    ).encode()


def pack_gzip(data: bytes) -> bytes:
    """Return the bytes compressed; the same zlib gives the same result."""
    # gzip.compress writes another header in each version of Python.
    packer = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    tail = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return b"".join((GZIP_HEAD, packer.compress(data), packer.flush(), tail))


def unpack_gzip(data: bytes, *, most: int) -> bytes | None:
    """Return the content that `pack_gzip` compressed; None for other bytes, or if it has more than `most`."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(data, most + 1)
    except zlib.error:
        return None
    # Nothing is hidden in a longer header or behind the end.
    is_whole = data.startswith(GZIP_HEAD) and unpacker.eof and not unpacker.unused_data
    return content if is_whole and len(content) <= most else None


def _read_tarballs(folder: Path, lock: RuntimeLock) -> dict[str, bytes]:
    files = {}
    for package_name, package in lock.packages.items():
        path = folder / package.tarball
        if not path_exists(path):
            raise _absent(path, lock)
        data = read_bytes(path, most=MAX_PACKAGE_BYTES, hint="Give the package that npm downloads.")
        # Nothing in the archive is read before this: its names and sizes are those of the locked package.
        if base64.b64encode(hashlib.sha512(data).digest()).decode() != package.sha512:
            raise _mismatch(path, lock)
        with tarfile.TarFile(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
            for name, file in lock.files.items():
                if file.package == package_name:
                    member = archive.extractfile(f"package/{file.path}")
                    assert member is not None
                    files[name] = member.read()
    return files


def _read_modules(modules: Path, lock: RuntimeLock) -> dict[str, bytes]:
    files = {}
    for name, file in lock.files.items():
        path = modules / file.package / file.path
        if not path_exists(path):
            raise _absent(path, lock)
        files[name] = read_bytes(path, most=MAX_PACKAGE_BYTES, hint="Give the package that npm installs.")
    return files


def _absent(path: Path, lock: RuntimeLock) -> InputError:
    what = f"the file does not exist, and a web bundle contains {lock.title}"
    return InputError(path, what, f"Run: {npm_command(lock)}", code="missing-web-runtime")


def _mismatch(path: Path, lock: RuntimeLock) -> InputError:
    what = f"not the file of {lock.title} (different hash)"
    hint = f"Remove it, then run: {npm_command(lock)}"
    return InputError(path, what, hint, code="web-runtime-mismatch")
