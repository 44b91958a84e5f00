"""Write export folders of the tiny models, as the converter writes them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dermpack.contract import (
    Contract,
    RequiredOperator,
    RuntimeResult,
    TensorType,
    format_contract,
    summarize_runtimes,
)
from dermpack.inference.interpreter_host import installed_runtimes
from dermpack.storage.files import sha256_of
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata, TensorInfo
from dermpack.tflite.reading import read_model
from tests.support.contracts import contract_for, with_picture, with_probabilities
from tests.support.tflite_models import LABELS, float_model, integer_model


@cache
def export_bytes(recipe: str) -> bytes:
    """Return the tiny model of a recipe, int8 or float32, with its metadata."""
    return described(integer_model("uint8") if recipe == "int8" else float_model(), labels=LABELS)


def described(plain: bytes, *, labels: tuple[str, ...]) -> bytes:
    """Return the model with metadata, as the converter writes it."""
    contract = contract_for()
    metadata = Metadata(
        name=contract.name,
        version=contract.version,
        licence=contract.license,
        labels=labels,
        mean=(127.5,),
        std=(127.5,),
        lowest=(-1.0,),
        highest=(1.0,),
    )
    return with_metadata(plain, metadata)


def contract_of(data: bytes, recipe: str) -> Contract:
    """Return the contract that the converter would write for the bytes."""
    model, contract = read_model(data, where="model.tflite"), contract_for(data)
    contract = with_picture(contract, **_steps(model.inputs[0]), size_bytes=model.inputs[0].size_bytes)
    return replace(
        with_probabilities(contract, **_steps(model.outputs[0])),
        recipe=replace(contract.recipe, name=recipe),
        operators=tuple(
            RequiredOperator(name=operator.name, version=operator.version) for operator in model.operators
        ),
        runtimes=summarize_runtimes(_tried()),
    )


def write_export(folder: Path, recipe: str = "int8", *, contract: Contract | None = None) -> Path:
    """Write model.tflite and model.json, with another contract if one is given."""
    data = export_bytes(recipe)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(data)
    text = format_contract(contract or contract_of(data, recipe))
    (folder / "model.json").write_text(text, encoding="utf-8")
    return folder


def spoil(folder: Path, data: bytes) -> None:
    """Write other bytes, and a contract with their hash, so that only the contents of the file are wrong."""
    contract = contract_of(export_bytes("int8"), "int8")
    (folder / "model.tflite").write_bytes(data)
    stated = replace(contract, sha256=sha256_of(data), size_bytes=max(1, len(data)))
    (folder / "model.json").write_text(format_contract(stated), encoding="utf-8")


def _tried() -> tuple[RuntimeResult, ...]:
    return tuple(
        RuntimeResult(
            runtime=engine.package,
            version=version(engine.package),
            delegate="xnnpack",
            works=True,
            result="same labels",
        )
        for engine in installed_runtimes()
    )


def _steps(tensor: TensorInfo) -> dict[str, Any]:
    scale = tensor.scales[0] if tensor.scales else None
    zero_point = tensor.zero_points[0] if tensor.scales else None
    return {"dtype": TensorType(tensor.dtype), "scale": scale, "zero_point": zero_point}
