"""Whether a contract speaks of these very bytes."""

from __future__ import annotations

from collections.abc import Iterator

from dermpack.contract import Activation, Contract, Input, Output
from dermpack.tflite.model_file import ModelFile, TensorInfo


def disagreements(contract: Contract, model: ModelFile, *, sha256: str) -> tuple[str, ...]:
    """What the contract says otherwise than the file; nothing where both agree."""
    if contract.sha256 != sha256:
        return ("it describes another file: the sha256 differs",)
    return tuple(_differing(contract, model))


def _differing(contract: Contract, model: ModelFile) -> Iterator[str]:
    given, wanted = contract.input, (1, contract.input.height, contract.input.width, contract.input.channels)
    many = 1 if contract.output.activation is Activation.SIGMOID else len(contract.labels)
    for what, tensors, of, shape in (
        ("input", model.inputs, given, wanted),
        ("output", model.outputs, contract.output, (1, many)),
    ):
        if len(tensors) != 1:
            yield f"the file has {len(tensors)} {what}s"
        else:
            yield from (f"{what}: {differing}" for differing in _edge(of, tensors[0], shape))
    if contract.size_bytes != model.size_bytes:
        yield f"size_bytes is {contract.size_bytes}, the file has {model.size_bytes}"
    said = {(operator.name, operator.version) for operator in contract.operators}
    if said != {(operator.name, operator.version) for operator in model.operators}:
        yield "its operators are not those of the file"
    if model.metadata and model.metadata.labels and model.metadata.labels != contract.labels:
        yield "its labels are not those inside the file"


def _edge(said: Input | Output, tensor: TensorInfo, shape: tuple[int, ...]) -> Iterator[str]:
    if tensor.dtype != said.dtype.value:
        yield f"{said.dtype.value}, the file has {tensor.dtype}"
    if tensor.shape != shape:
        yield f"{list(shape)}, the file has {list(tensor.shape)}"
    steps = (tensor.scales, tensor.zero_points)
    expected = ((), ()) if said.scale is None else ((said.scale,), (said.zero_point,))
    if steps != expected:
        yield f"scale {said.scale} and zero point {said.zero_point} are not those of the file"
