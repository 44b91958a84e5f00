"""Find what is to be verified: models with their contracts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError
from dermpack.inference import find_sidecar

MODEL_FILE = "model.tflite"
MARK = b"TFL3"  # bytes 4 to 8 of every .tflite, whatever it is called
HINT = f"Give an export folder, or a .tflite file with its {CONTRACT_FILE} in the same folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A model and the contract that speaks of it; either may turn out to be missing or broken."""

    name: str
    model: Path
    contract: Path


def find_exports(path: Path) -> tuple[Export, ...]:
    """The export that is a .tflite or a folder, or the exports in a folder of folders, by name."""
    try:
        return _found(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", HINT, code="cannot-read") from error


def _found(path: Path) -> tuple[Export, ...]:
    if not path.exists():
        raise InputError(path, "no such file or directory", HINT, code="model-not-found")
    if not path.is_dir():
        return (_of_file(path),)
    if _is_export(path):
        return (_of_folder(path),)
    inside = sorted(folder for folder in path.iterdir() if folder.is_dir() and _is_export(folder))
    if not inside:
        what = f"{MODEL_FILE} not found in this folder or its subfolders"
        raise InputError(path, what, HINT, code="model-not-found")
    return tuple(_of_folder(folder) for folder in inside)


def _of_file(path: Path) -> Export:
    if path.suffix.lower() != ".tflite" and not _is_flatbuffer(path):
        raise InputError(path, "neither a .tflite file nor a bundle", HINT, code="invalid-model")
    beside = find_sidecar(path)
    if beside is None:
        what = f"{CONTRACT_FILE} not found in the same folder"
        raise InputError(path, what, HINT, code="contract-not-found")
    return Export(name=path.stem, model=path, contract=beside)


def _is_flatbuffer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == MARK


def _of_folder(folder: Path) -> Export:
    return Export(name=folder.resolve().name, model=folder / MODEL_FILE, contract=folder / CONTRACT_FILE)


def _is_export(folder: Path) -> bool:
    return (folder / MODEL_FILE).is_file() or (folder / CONTRACT_FILE).is_file()
