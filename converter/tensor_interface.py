"""Describe the input and the output of a converted file, as the contract declares them."""

from __future__ import annotations

from typing import Any

from converter.sources.source import Source
from dermpack import contract as contracts
from dermpack.tflite.model_file import ModelFile, TensorInfo


def describe_tensors(
    source: Source, model: ModelFile, *, temperature: contracts.Temperature | None = None
) -> contracts.TensorInterface:
    """Return how a file of the source is fed and read."""
    picture, probabilities = model.inputs[0], model.outputs[0]
    height, width = picture.shape[2:] if source.pixels.is_nchw else picture.shape[1:3]
    return contracts.TensorInterface(
        inputs={
            contracts.PICTURE: contracts.PictureInput(
                shape=picture.shape,
                width=width,
                height=height,
                mean=source.pixels.mean,
                std=source.pixels.std,
                color=source.pixels.color,
                layout=source.pixels.layout,
                policy=source.picture.policy.value,
                size_bytes=picture.size_bytes,
                **_quantization(picture),
            )
        },
        outputs={
            contracts.PROBABILITIES: contracts.ProbabilitiesOutput(
                shape=probabilities.shape,
                activation=source.answer.activation,
                applied=source.answer.is_applied,
                temperature=temperature,
                **_quantization(probabilities),
            )
        },
    )


def _quantization(tensor: TensorInfo) -> dict[str, Any]:
    """Return type, scale and zero point of a tensor as the fields of its record."""
    scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (None, None)
    return {"dtype": contracts.TensorType(tensor.dtype), "scale": scale, "zero_point": zero_point}
