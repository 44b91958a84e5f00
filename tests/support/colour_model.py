"""Build a .tflite without TensorFlow; its label is the strongest of red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from dermpack.contract import Contract, format_contract
from tests.support.contracts import contract_for, with_picture
from tests.support.flatbuffer_models import RAW, tensor

SIZE, LABELS = 32, ("akiec", "mel", "nv")  # red, green, blue
COLOURS = {"akiec": (220, 60, 60), "mel": (60, 220, 60), "nv": (60, 60, 220), "any": (120, 125, 120)}
SHARPNESS = 4.0
OPERATORS = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions


@cache
def colour_model(dtype: str = "uint8", *, softmax: bool = True) -> bytes:
    """Return a model of channel means and a softmax; uint8 takes raw pixels, float32 -1 to 1."""
    steps = None if dtype == "float32" else RAW
    out = None if dtype == "float32" else (1 / 256, 0)
    tensors = [
        tensor("picture", (1, SIZE, SIZE, 3), dtype, steps=steps),
        tensor("sides", (2,), "int32", buffer=1),
        tensor("means", (1, 3), dtype, steps=steps),
        tensor("scores", (1, 3), dtype, steps=out),
    ]
    mean, sharp = schema.ReducerOptionsT(keepDims=False), schema.SoftmaxOptionsT(beta=SHARPNESS)
    operators = [
        _operator(0, (0, 1), 2, OPTIONS.ReducerOptions, mean),
        _operator(1, (2,), 3, OPTIONS.SoftmaxOptions, sharp),
    ]
    count = 2 if softmax else 1
    return _file(tensors[: 2 + count], operators[:count])


def write_export(folder: Path, contract: Contract | None = None) -> Path:
    """Write an export folder: model.tflite and its model.json."""
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(colour_model())
    text = format_contract(contract or colour_contract())
    (folder / "model.json").write_text(text, encoding="utf-8")
    return folder


def colour_contract() -> Contract:
    """Return a contract with temperature 1.25, abstention below 0.6 and a threshold of 0.3 for mel."""
    return with_picture(contract_for(colour_model()), scale=RAW[0], zero_point=RAW[1])


def picture(colour: str | tuple[int, int, int], *, size: tuple[int, int] = (48, 40)) -> bytes:
    """Return a JPEG of one colour, given as a label or as RGB."""
    buffer = BytesIO()
    value = COLOURS[colour] if isinstance(colour, str) else colour
    Image.new("RGB", size, value).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _operator(code: int, inputs: Sequence[int], output: int, kind: int, options: Any) -> Any:
    return schema.OperatorT(
        opcodeIndex=code,
        inputs=list(inputs),
        outputs=[output],
        builtinOptionsType=kind,
        builtinOptions=options,
    )


def _file(tensors: Sequence[Any], operators: Sequence[Any]) -> bytes:
    graph = schema.SubGraphT(name="main", inputs=[0], outputs=[len(tensors) - 1])
    graph.tensors, graph.operators = list(tensors), list(operators)
    codes = [
        schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=2)
        for code in (OPERATORS.MEAN, OPERATORS.SOFTMAX)
    ]
    tree = schema.ModelT(
        version=3, description="built without TensorFlow", subgraphs=[graph], operatorCodes=codes
    )
    tree.buffers = [schema.BufferT(), schema.BufferT(data=np.array([1, 2], "<i4").view(np.uint8))]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
