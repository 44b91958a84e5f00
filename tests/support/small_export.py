"""Export folders of the tiny models, as the converter writes them."""

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
    contract_text,
    runtimes_of,
)
from dermpack.inference import installed
from dermpack.storage.files import sha256_of
from dermpack.tflite import Metadata, TensorInfo, read_model, with_metadata
from tests.support.contracts import contract_for
from tests.support.tflite_models import LABELS, float_model, integer_model


@cache
def export_bytes(recipe: str) -> bytes:
    """The tiny model of a recipe, int8 or float32, with metadata in."""
    return described(integer_model("uint8") if recipe == "int8" else float_model(), labels=LABELS)


def described(plain: bytes, *, labels: tuple[str, ...]) -> bytes:
    """The model with metadata in, as the converter writes it."""
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
    """What the converter would say of the bytes."""
    model, made = read_model(data, where="model.tflite"), contract_for(data)
    return replace(
        made,
        input=replace(made.input, **_steps(model.inputs[0]), size_bytes=model.inputs[0].size_bytes),
        output=replace(made.output, **_steps(model.outputs[0])),
        recipe=replace(made.recipe, name=recipe),
        operators=tuple(RequiredOperator(name=of.name, version=of.version) for of in model.operators),
        runtimes=runtimes_of(_tried()),
    )


def write_export(folder: Path, recipe: str = "int8", *, contract: Contract | None = None) -> Path:
    """model.tflite and model.json; another contract than its own where one is given."""
    data = export_bytes(recipe)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(data)
    text = contract_text(contract or contract_of(data, recipe))
    (folder / "model.json").write_text(text, encoding="utf-8")
    return folder


def spoil(folder: Path, data: bytes) -> None:
    """Other bytes, and a contract that names their hash: only what they are can tell."""
    contract = contract_of(export_bytes("int8"), "int8")
    (folder / "model.tflite").write_bytes(data)
    said = replace(contract, sha256=sha256_of(data), size_bytes=max(1, len(data)))
    (folder / "model.json").write_text(contract_text(said), encoding="utf-8")


def _tried() -> tuple[RuntimeResult, ...]:
    return tuple(
        RuntimeResult(
            runtime=engine.package,
            version=version(engine.package),
            delegate="xnnpack",
            works=True,
            result="same labels",
        )
        for engine in installed()
    )


def _steps(tensor: TensorInfo) -> dict[str, Any]:
    scale = tensor.scales[0] if tensor.scales else None
    zero_point = tensor.zero_points[0] if tensor.scales else None
    return {"dtype": TensorType(tensor.dtype), "scale": scale, "zero_point": zero_point}
