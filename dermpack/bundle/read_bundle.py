"""Read a bundle into memory; it is untrusted until checked, and none of it is written to disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dermpack.bundle.bundle_record import BUNDLE_FILE, Bundle, BundlePart, parse_bundle_record
from dermpack.bundle.golden_vectors import GOLDEN_FILE, GoldenVectors, parse_golden_vectors
from dermpack.bundle.signing import check_signature
from dermpack.bundle.variants import MODEL_FILE, Variant
from dermpack.bundle.zip_archive import (
    AGAIN,
    LOCAL_SIGNATURE,
    MAX_BUNDLE_BYTES,
    MAX_FILES,
    NOT_OURS,
    SUMS_FILE,
    bundle_error,
    check_checksums,
    unpack_files,
)
from dermpack.contract import CONTRACT_FILE, parse_contract
from dermpack.errors import InputError, TableError
from dermpack.storage.files import parse_json, read_bytes, sha256_of
from dermpack.storage.regular_files import read_beginning

MAX_JSON_BYTES = 8 << 20
TOO_LARGE = "Check the path: a bundle is never this large."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedBundle:
    """A bundle whose files match SHA256SUMS and its records."""

    where: Path
    bundle: Bundle
    files: Mapping[str, bytes]
    variants: tuple[Variant, ...]
    golden: GoldenVectors | None  # None in a bundle that was packaged without
    is_signed: bool  # by the owner of the given key

    def asset(self, name: str) -> bytes:
        """Return a file of the assets, or raise InputError if it is missing."""
        return _get_file(self.files, self.bundle.path(name), self.where)

    def require_golden(self) -> GoldenVectors:
        """Return the golden vectors, or raise InputError if the bundle was packaged without."""
        if self.golden is None:
            raise bundle_error(self.where, "contains no golden vectors", "Package it with --golden-in main.")
        return self.golden

    def golden_file(self, name: str) -> bytes:
        """Return a file of the golden vectors, or raise InputError if it is missing."""
        return _get_file(self.files, f"{self.bundle.golden_folder}/{name}", self.where)


def is_bundle(path: Path) -> bool:
    """Return whether a path is a zip, or a folder that a bundle was unpacked into."""
    try:
        if path.is_dir():
            return (path / BUNDLE_FILE).is_file()
    except OSError:
        return False
    return read_beginning(path, len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE


def read_bundle(path: Path, *, key: Path | None = None) -> OpenedBundle:
    """Read a bundle and check it from the outside in: signature, zip, hashes, records."""
    if path.is_dir():
        if key is not None:
            what = "a directory cannot be checked against a signature"
            hint = "Give the packed bundle together with --key."
            raise InputError(path, what, hint, code="option-not-applicable")
        files = _read_folder(path)
    else:
        data = read_bytes(path, most=MAX_BUNDLE_BYTES, hint=TOO_LARGE)
        if key is not None:
            check_signature(data, where=path, key=key)
        files = _strip_root(unpack_files(data, where=path), path)
    check_checksums(files, where=path)
    bundle = parse_bundle_record(_parse_object(files, BUNDLE_FILE, path), where=path)
    variants = tuple(_read_variant(path, bundle, part, files) for part in bundle.variants)
    golden = _read_golden(path, bundle, files)
    # The record, golden.json and each of its vectors must describe the same variants.
    names = {variant.name for variant in variants}
    described = [set(golden.variants), *(set(vector.expected) for vector in golden.vectors)] if golden else []
    is_consistent = all(others == names for others in described) and len(names) == len(variants)
    if not is_consistent or (golden is not None and not golden.vectors):
        raise bundle_error(path, "the golden vectors and the models are of different variants")
    return OpenedBundle(
        where=path, bundle=bundle, files=files, variants=variants, golden=golden, is_signed=key is not None
    )


def _read_golden(path: Path, bundle: Bundle, files: Mapping[str, bytes]) -> GoldenVectors | None:
    if not bundle.golden_folder:
        return None
    name = f"{bundle.golden_folder}/{GOLDEN_FILE}"
    return parse_golden_vectors(_parse_object(files, name, path), where=f"{path}: {name}")


def _read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of an unpacked bundle; links and devices are rejected."""
    files: dict[str, bytes] = {}
    remaining_bytes = MAX_BUNDLE_BYTES
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            mode = (Path(place) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or (name in folders and stat.S_ISDIR(mode))):
                what = f"{name} is not a regular file"
                raise InputError(folder, what, AGAIN, code="hostile-file")
        for name in names:
            path = Path(place) / name
            data = read_bytes(path, most=remaining_bytes, hint=TOO_LARGE)
            remaining_bytes -= len(data)
            files[path.relative_to(folder).as_posix()] = data
            if len(files) > MAX_FILES:
                raise bundle_error(folder, f"contains more than {MAX_FILES} files")
    return files


def _strip_root(files: Mapping[str, bytes], path: Path) -> dict[str, bytes]:
    """Return the files by their paths below the top or, without SHA256SUMS there, below its one folder."""
    if SUMS_FILE in files:
        return dict(files)
    roots = {name.partition("/")[0] for name in files}
    if len(roots) != 1:
        raise bundle_error(path, f"contains no {SUMS_FILE}", NOT_OURS)
    return {name.partition("/")[2]: data for name, data in files.items() if "/" in name}


def _read_variant(path: Path, bundle: Bundle, part: BundlePart, files: Mapping[str, bytes]) -> Variant:
    folder = f"{part.folder}/" if part.folder else ""
    model_name, contract_name = bundle.path(f"{folder}{MODEL_FILE}"), bundle.path(f"{folder}{CONTRACT_FILE}")
    model, text = _get_file(files, model_name, path), _get_file(files, contract_name, path)
    contract = parse_contract(_parse_object(files, contract_name, path), where=f"{path}: {contract_name}")
    found = (sha256_of(model), sha256_of(text), contract.sha256, contract.recipe.name)
    if found != (part.model_sha256, part.contract_sha256, part.model_sha256, part.name):
        raise bundle_error(path, f"{model_name} does not match {BUNDLE_FILE} or {contract_name}")
    return Variant(where=path / model_name, model=model, contract=contract, contract_bytes=text)


def _parse_object(files: Mapping[str, bytes], name: str, path: Path) -> dict[str, object]:
    data = _get_file(files, name, path)
    try:
        value = parse_json(data) if len(data) <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError) as error:
        raise TableError(path, f"{name} is not valid JSON", AGAIN, code="invalid-bundle") from error
    if not isinstance(value, dict):
        raise TableError(path, f"{name} is not a JSON object", AGAIN, code="invalid-bundle")
    return value


def _get_file(files: Mapping[str, bytes], name: str, path: Path) -> bytes:
    if name not in files:
        raise bundle_error(path, f"contains no {name}")
    return files[name]
