"""Describe the inputs and outputs of a converted file as its contract does."""

from __future__ import annotations

from typing import Any

from converter.request import RunSource
from dermpack import contract as contracts
from dermpack.tflite.model_file import ModelFile, TensorInfo

EVIDENCE_STEPS = 1.0  # rounding of the mean: half a step of the map, and half a step of the logits


def make_interface(
    model: ModelFile, source: RunSource, temperature: contracts.Temperature | None
) -> contracts.TensorInterface:
    """Return the records of all inputs and outputs of a file of the source, which was read back."""
    graph = source.graph
    signature = next(iter(model.signatures), None)
    picture, scores = model.inputs[0], model.outputs[0]
    if signature is not None:
        picture, scores = signature.inputs[contracts.PICTURE], signature.outputs[contracts.PROBABILITIES]
    inputs: dict[str, contracts.InputRecord] = {
        contracts.PICTURE: contracts.PictureInput(
            shape=picture.shape,
            width=picture.shape[2],
            height=picture.shape[1],
            policy=source.run.policy.value,
            size_bytes=picture.size_bytes,
            **_quantization(picture),
        )
    }
    outputs: dict[str, contracts.OutputRecord] = {
        contracts.PROBABILITIES: contracts.ProbabilitiesOutput(
            shape=scores.shape,
            activation=contracts.Activation.SOFTMAX,
            temperature=temperature,
            **_quantization(scores),
        )
    }
    for name in graph.outputs[1:]:
        assert signature is not None  # of every file with further outputs
        outputs[name] = _describe_output(name, signature.outputs[name])
    key = signature.key if signature else None
    return contracts.TensorInterface(signature=key, inputs=inputs, outputs=outputs)


def _describe_output(name: str, tensor: TensorInfo) -> contracts.OutputRecord:
    """Return the record of an output besides the probabilities."""
    fields = {"shape": tensor.shape, **_quantization(tensor)}
    if name == contracts.METADATA_EVIDENCE:
        return contracts.MetadataEvidenceOutput(**fields)
    return contracts.EvidenceOutput(tolerance_steps=EVIDENCE_STEPS, **fields)


def _quantization(tensor: TensorInfo) -> dict[str, Any]:
    """Return type, scale and zero point of a tensor as the fields of its record."""
    scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (None, None)
    return {"dtype": contracts.TensorType(tensor.dtype), "scale": scale, "zero_point": zero_point}
