"""Export folders to bundle: the model made by hand, which runs everywhere and needs no TensorFlow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dermpack.contract import contract_text
from tests.support.colour_model import LABELS, SIZE, colour_model
from tests.support.small_export import contract_of, described

DTYPES = {"int8": "uint8", "float32": "float32"}
__all__ = ["LABELS", "SIZE", "write_export", "write_exports"]


@cache
def model_bytes(recipe: str) -> bytes:
    return described(colour_model(DTYPES[recipe]), labels=LABELS)


def write_export(folder: Path, recipe: str = "int8") -> Path:
    folder.mkdir(parents=True)
    data = model_bytes(recipe)
    (folder / "model.tflite").write_bytes(data)
    (folder / "model.json").write_text(contract_text(contract_of(data, recipe)), encoding="utf-8")
    return folder


def write_exports(folder: Path) -> Path:
    """A folder of exports, as a conversion to several recipes leaves it."""
    for recipe in DTYPES:
        write_export(folder / recipe, recipe)
    return folder
