"""Read a bundle that is hostile until checked; nothing of it is written anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dermpack.bundle.build_bundle import GOLDEN_FOLDER
from dermpack.bundle.bundle_record import BUNDLE_FILE, Bundle, bundle_from
from dermpack.bundle.checksums import SUMS_FILE, check_sums
from dermpack.bundle.golden_vectors import GOLDEN_FILE, GoldenVectors, golden_from
from dermpack.bundle.signing import check_signature
from dermpack.bundle.variants import MODEL_FILE, Variant
from dermpack.bundle.zip_archive import (
    AGAIN,
    LOCAL_MARK,
    MAX_BUNDLE_BYTES,
    MAX_FILES,
    NOT_OURS,
    refused,
    unzipped,
)
from dermpack.contract import CONTRACT_FILE, contract_from
from dermpack.errors import InputError, TableError
from dermpack.storage.files import parsed_json, read_bytes, sha256_of

MAX_JSON_BYTES = 8 << 20
TOO_LARGE = "Check the path: a bundle is never this large."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedBundle:
    """A bundle whose every byte is as SHA256SUMS says, and what its records say."""

    where: Path
    bundle: Bundle
    files: Mapping[str, bytes]
    variants: tuple[Variant, ...]
    golden: GoldenVectors
    is_signed: bool  # by the owner of the key that was given

    def asset(self, name: str) -> bytes:
        """A file of the model's; one that is missing is an error of the bundle."""
        return _file(self.files, self.bundle.path(name), self.where)


def is_bundle(path: Path) -> bool:
    """Whether a path is to be read here: a zip, or a folder that one was unpacked into."""
    try:
        if path.is_dir():
            return (path / BUNDLE_FILE).is_file()
        with path.open("rb") as file:
            return file.read(len(LOCAL_MARK)) == LOCAL_MARK
    except OSError:
        return False


def read_bundle(path: Path, *, key: Path | None = None) -> OpenedBundle:
    """All of it in memory, checked from the outside in: signature, zip, hashes, records."""
    if path.is_dir():
        if key is not None:
            what = "a directory cannot be checked against a signature"
            hint = "Give the packed bundle together with --key."
            raise InputError(path, what, hint, code="option-not-applicable")
        files = _folder_files(path)
    else:
        data = read_bytes(path, most=MAX_BUNDLE_BYTES, hint=TOO_LARGE)
        if key is not None:
            check_signature(data, where=path, key=key)
        files = _rooted(unzipped(data, where=path), path)
    check_sums(files, where=path)
    return _read(path, files, is_signed=key is not None)


def _read(path: Path, files: Mapping[str, bytes], *, is_signed: bool) -> OpenedBundle:
    bundle = bundle_from(_json(files, BUNDLE_FILE, path), where=path)
    golden_file = bundle.path(f"{GOLDEN_FOLDER}/{GOLDEN_FILE}")
    golden = golden_from(_json(files, golden_file, path), where=f"{path}: {golden_file}")
    variants = tuple(_variant(path, bundle, files, at) for at in range(len(bundle.variants)))
    names = {of.name for of in variants}
    spoken = [set(golden.variants), *(set(vector.expected) for vector in golden.vectors)]
    if len(spoken) == 1 or any(these != names for these in spoken) or len(names) < len(variants):
        raise refused(path, "the golden vectors and the models are of different variants")
    return OpenedBundle(
        where=path, bundle=bundle, files=files, variants=variants, golden=golden, is_signed=is_signed
    )


def _variant(path: Path, bundle: Bundle, files: Mapping[str, bytes], at: int) -> Variant:
    part = bundle.variants[at]
    folder = f"{part.folder}/" if part.folder else ""
    model_name, contract_name = bundle.path(f"{folder}{MODEL_FILE}"), bundle.path(f"{folder}{CONTRACT_FILE}")
    model, text = _file(files, model_name, path), _file(files, contract_name, path)
    contract = contract_from(_json(files, contract_name, path), where=f"{path}: {contract_name}")
    hashes = (sha256_of(model), sha256_of(text), contract.sha256, contract.recipe.name)
    if hashes != (part.model_sha256, part.contract_sha256, part.model_sha256, part.name):
        raise refused(path, f"{model_name} does not match {BUNDLE_FILE} or {contract_name}")
    return Variant(where=path / model_name, model=model, contract=contract, contract_bytes=text)


def _rooted(files: Mapping[str, bytes], path: Path) -> dict[str, bytes]:
    """By their paths below the folder that holds SHA256SUMS: the top, or the one folder at the top."""
    if SUMS_FILE in files:
        return dict(files)
    tops = {name.partition("/")[0] for name in files}
    if len(tops) != 1:
        raise refused(path, f"contains no {SUMS_FILE}", NOT_OURS)
    return {name.partition("/")[2]: data for name, data in files.items() if "/" in name}


def _folder_files(folder: Path) -> dict[str, bytes]:
    """The files of an unpacked bundle; a link or a device among them is refused."""
    files: dict[str, bytes] = {}
    left = MAX_BUNDLE_BYTES
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            mode = (Path(place) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or (name in folders and stat.S_ISDIR(mode))):
                what = f"{name} is not a regular file"
                raise InputError(folder, what, AGAIN, code="hostile-file")
        for name in names:
            path = Path(place) / name
            data = read_bytes(path, most=left, hint=TOO_LARGE)
            left -= len(data)
            files[path.relative_to(folder).as_posix()] = data
            if len(files) > MAX_FILES:
                raise refused(folder, f"contains more than {MAX_FILES} files")
    return files


def _json(files: Mapping[str, bytes], name: str, path: Path) -> dict[str, object]:
    data = _file(files, name, path)
    try:
        value = parsed_json(data) if len(data) <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError) as error:
        raise TableError(path, f"{name} is not valid JSON", AGAIN, code="invalid-bundle") from error
    if not isinstance(value, dict):
        raise TableError(path, f"{name} is not a JSON object", AGAIN, code="invalid-bundle")
    return value


def _file(files: Mapping[str, bytes], name: str, path: Path) -> bytes:
    if name not in files:
        raise refused(path, f"contains no {name}")
    return files[name]
