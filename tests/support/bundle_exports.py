"""Write export folders with a model that is built without TensorFlow and runs everywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dermpack.contract import format_contract
from tests.support.colour_model import LABELS, SIZE, colour_model
from tests.support.small_export import contract_of, described

DTYPES = {"int8": "uint8", "float32": "float32"}
__all__ = ["LABELS", "SIZE", "write_export", "write_exports"]


@cache
def model_bytes(recipe: str) -> bytes:
    return described(colour_model(DTYPES[recipe]), labels=LABELS)


def write_export(folder: Path, recipe: str = "int8") -> Path:
    """Write one export of the quantization."""
    folder.mkdir(parents=True)
    data = model_bytes(recipe)
    (folder / "model.tflite").write_bytes(data)
    (folder / "model.json").write_text(format_contract(contract_of(data, recipe)), encoding="utf-8")
    return folder


def write_exports(folder: Path) -> Path:
    """Write a folder of exports, as a conversion to several quantizations does."""
    for recipe in DTYPES:
        write_export(folder / recipe, recipe)
    return folder
