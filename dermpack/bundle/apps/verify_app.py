"""Verify an APK or an Android archive by Google Play's technical rules, as far as the file alone shows them.

The archive is hostile until checked: only the beginning of each library, and files of limited size, are
expanded, and only by the two methods that Android knows. The others can expand a few bytes to gigabytes in
one step.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from dermpack.bundle.apps.android_manifest import AndroidManifest, parse_manifest
from dermpack.bundle.apps.native_code import dex_classes, load_alignment
from dermpack.bundle.bundle_record import BUNDLE_FILE, GOLDEN_FOLDER
from dermpack.bundle.golden_vectors import GOLDEN_FILE
from dermpack.bundle.zip_archive import LOCAL_SIGNATURE, MAX_BUNDLE_BYTES
from dermpack.errors import InputError, count_noun
from dermpack.storage.files import read_bytes, sha256_of
from dermpack.storage.regular_files import open_regular
from dermpack.verification.check_result import Check, CheckOutcome, Verification, check_from_problems

MANIFEST_FILE, CLASSES_JAR = "AndroidManifest.xml", "classes.jar"
SUFFIXES = (".apk", ".aar")
PAGE_BYTES = 16384  # https://developer.android.com/guide/practices/page-sizes
PAGED_ABIS = ("arm64-v8a", "x86_64")  # devices with 16 KB pages are 64-bit devices
PLAY_TARGET_SDK = 35  # of new apps and updates since 31 August 2025
LIBRARY = re.compile(r"(?:lib|jni)/([^/]+)/([^/]+\.so)\Z")
DEX = re.compile(r"classes\d*\.dex\Z")
# An app needs one of these libraries: they are the same interpreter under its old and its new names.
RUNTIMES = ("libtensorflowlite_jni.so", "libLiteRt.so", "liblitert_jni.so")
HEAD_BYTES = 1 << 16  # read of a library: its program headers are at the beginning
MAX_FILE_BYTES = 256 << 20  # size of an expanded file
MAX_EXPANDED_BYTES = 4 << 30  # size of all expanded files together
MAX_MANIFEST_BYTES = 4 << 20
MAX_ENTRIES = 1 << 17
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for the directory of an archive that it cannot read.
UNREADABLE = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error)
LOCAL_HEADER_BYTES, NAME_LENGTH_OFFSET = 30, 26
SHOWN = 3
HINT = "Give an APK or AAR as the build wrote it."


@dataclass(frozen=True, slots=True, kw_only=True)
class _App:
    """The entries of the archive and its bytes."""

    where: Path
    archive: zipfile.ZipFile
    data: bytes
    entries: tuple[zipfile.ZipInfo, ...]
    is_library: bool  # an Android archive, which another build packs again

    def read(self, entry: zipfile.ZipInfo, *, most: int = MAX_FILE_BYTES) -> bytes:
        """Return the first bytes of an entry."""
        if entry.compress_type not in METHODS:
            raise _error(self.where, f"{entry.filename} is compressed by a method that Android does not know")
        archive = self.archive
        try:
            with archive.open(entry) as opened:
                return opened.read(most)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise _error(self.where, f"{entry.filename} cannot be expanded ({error})") from error

    def offset(self, entry: zipfile.ZipInfo) -> int:
        """Return where the bytes of an entry begin in the file."""
        name_bytes, extra_bytes = struct.unpack_from(
            "<HH", self.data, entry.header_offset + NAME_LENGTH_OFFSET
        )
        return entry.header_offset + LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)


def is_app(path: Path) -> bool:
    """Return whether a path is named like an app or an archive, and is not a bundle of ours."""
    try:
        if path.suffix.lower() not in SUFFIXES or path.is_dir():
            return False
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return BUNDLE_FILE not in archive.namelist()
    except (OSError, *UNREADABLE):
        return path.suffix.lower() == ".apk"


def verify_app(path: Path) -> Verification:
    """Run the checks; raise InputError for a file that is not an APK or AAR."""
    data = read_bytes(path, most=MAX_BUNDLE_BYTES, hint="Check the path: an app is never this large.")
    if not data.startswith(LOCAL_SIGNATURE):
        raise _error(path, "not an APK or AAR")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except UNREADABLE as error:
        raise _error(path, f"not a readable zip ({error})") from error
    entries = tuple(archive.infolist())
    # zipfile expands no more of a file than its declared size.
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_EXPANDED_BYTES:
        raise _error(path, "contains too many files, or too large ones")
    if MANIFEST_FILE not in archive.NameToInfo:
        raise _error(path, f"contains no {MANIFEST_FILE}")
    is_library = path.suffix.lower() == ".aar"
    app = _App(where=path, archive=archive, data=data, entries=entries, is_library=is_library)
    try:
        manifest = parse_manifest(app.read(archive.NameToInfo[MANIFEST_FILE], most=MAX_MANIFEST_BYTES))
        checks = (
            _check_pages(app),
            _check_models(app),
            _check_permissions(manifest),
            _check_duplicates(app),
            _check_runtimes(app),
            _check_golden(app),
            *(() if is_library else (_check_target(manifest),)),
        )
    except (ValueError, struct.error) as error:
        raise _error(path, str(error)) from error
    return Verification(name=path.name, sha256=sha256_of(data), checks=checks)


def _check_pages(app: _App) -> Check:
    problems, aligned = [], 0
    for entry in app.entries:
        match = LIBRARY.fullmatch(entry.filename)
        if match is None or match[1] not in PAGED_ABIS:
            continue
        alignment = load_alignment(app.read(entry, most=HEAD_BYTES))
        is_stored = entry.compress_type == zipfile.ZIP_STORED
        if alignment < PAGE_BYTES:
            problems.append(f"{entry.filename}: segments are aligned to {alignment:,} bytes")
        elif is_stored and not app.is_library and app.offset(entry) % PAGE_BYTES:
            problems.append(f"{entry.filename}: is not aligned in the APK (zipalign -P 16)")
        else:
            aligned += 1
    success = (
        f"{aligned} 64-bit libraries are aligned to {PAGE_BYTES:,} bytes"
        if aligned
        else "no 64-bit libraries"
    )
    return check_from_problems("16 KB pages", _shown(problems), success=success)


def _check_models(app: _App) -> Check:
    models = [entry for entry in app.entries if entry.filename.endswith(".tflite")]
    problems = [
        f"{entry.filename}: is compressed, so it cannot be mapped"
        for entry in models
        if not app.is_library and entry.compress_type != zipfile.ZIP_STORED
    ]
    size_bytes = sum(entry.file_size for entry in models)
    stored = "" if app.is_library else ", stored uncompressed"
    success = f"{count_noun(len(models), 'model')}, {size_bytes:,} bytes{stored}"
    return check_from_problems("models", _shown(problems), success=success)


def _check_permissions(manifest: AndroidManifest) -> Check:
    # A permission is not an error, but Google Play requires a reason for it, so the developer must know it.
    outcome = CheckOutcome.NOTED if manifest.permissions else CheckOutcome.HOLDS
    return Check(name="permissions", outcome=outcome, detail=", ".join(manifest.permissions) or "none")


def _check_duplicates(app: _App) -> Check:
    counts = Counter(entry.filename for entry in app.entries)
    problems = [f"{name}: {count} times" for name, count in counts.items() if count > 1]
    # Android uses the first definition of a class, and which file comes first depends on the build.
    places = defaultdict(list)
    for entry in app.entries:
        if DEX.fullmatch(entry.filename):
            for name in dex_classes(app.read(entry)):
                places[name].append(entry.filename)
        elif entry.filename == CLASSES_JAR or (app.is_library and entry.filename.startswith("libs/")):
            for name in _jar_classes(app, entry):
                places[name].append(entry.filename)
    problems += [f"{name}: in {' and '.join(files)}" for name, files in places.items() if len(files) > 1]
    contents = defaultdict(list)
    for entry in app.entries:
        if entry.filename.endswith(".tflite"):
            contents[entry.CRC, entry.file_size].append(entry.filename)
    problems += [f"the same model: {' and '.join(names)}" for names in contents.values() if len(names) > 1]
    success = (
        f"{count_noun(len(counts), 'file')} and {count_noun(len(places), 'class', 'classes')}, each once"
    )
    return check_from_problems("duplicates", _shown(problems), success=success)


def _jar_classes(app: _App, entry: zipfile.ZipInfo) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(app.read(entry))) as jar:
            return [name for name in jar.namelist() if name.endswith(".class")]
    except UNREADABLE as error:
        raise ValueError(f"{entry.filename} is not a readable zip") from error


def _check_runtimes(app: _App) -> Check:
    matches = filter(None, (LIBRARY.fullmatch(entry.filename) for entry in app.entries))
    found = defaultdict(set)
    for match in matches:
        if match[2] in RUNTIMES:
            found[match[1]].add(match[2])
    several = [f"{abi}: {', '.join(sorted(names))}" for abi, names in sorted(found.items()) if len(names) > 1]
    success = f"one interpreter for {', '.join(sorted(found))}" if found else "no interpreter in this file"
    outcome = CheckOutcome.NOTED if several else CheckOutcome.HOLDS
    return Check(name="runtime", outcome=outcome, detail="; ".join(_shown(several)) or success)


def _check_golden(app: _App) -> Check:
    ending = f"/{GOLDEN_FOLDER}/{GOLDEN_FILE}"
    folders = {
        entry.filename.removesuffix(GOLDEN_FILE) for entry in app.entries if entry.filename.endswith(ending)
    }
    size_bytes = sum(
        entry.file_size for entry in app.entries if entry.filename[: entry.filename.rfind("/") + 1] in folders
    )
    detail = f"{size_bytes:,} bytes of golden vectors, which a release does not need" if folders else "none"
    return Check(
        name="golden vectors", outcome=CheckOutcome.NOTED if folders else CheckOutcome.HOLDS, detail=detail
    )


def _check_target(manifest: AndroidManifest) -> Check:
    target = manifest.target_sdk if manifest.target_sdk is not None else manifest.min_sdk
    problems = []
    if target is None or target < PLAY_TARGET_SDK:
        problems.append(f"targetSdkVersion is {target}, and Play requires {PLAY_TARGET_SDK}")
    if manifest.is_debuggable:
        problems.append("the app is debuggable")
    return check_from_problems("target", problems, success=f"targetSdkVersion {target}, not debuggable")


def _shown(problems: list[str]) -> list[str]:
    more = [f"{len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return [*problems[:SHOWN], *more]


def _error(where: Path, what: str) -> InputError:
    return InputError(where, what, HINT, code="invalid-app")
