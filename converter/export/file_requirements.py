"""Read a file's bytes back, and see whether they keep what the recipe promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converter.quantize.tflite_conversion import IoType, Quantization
from dermpack.errors import OutputError
from dermpack.tflite import ModelFile, TensorInfo, read_model

WHERE = "model.tflite"
BUG_HINT = "This is a bug in the converter; please report it."
PIXEL_STEP = 1 / 127.5  # of an input whose raw bytes are the pixels
STEP_ERROR = 1e-6
MIDDLES = {IoType.UINT8: (127, 128), IoType.INT8: (-1, 0)}
KINDS = {
    Quantization.FLOAT32: {"float32", "int32"},  # int32 holds shapes
    Quantization.FLOAT16: {"float32", "float16", "int32"},
    Quantization.DYNAMIC: {"float32", "int8", "int32"},
    Quantization.INT8: {"int8", "int32"},
    Quantization.INT16X8: {"int16", "int8", "int32", "int64"},
}
WEIGHTS = {
    Quantization.FLOAT32: "float32",
    Quantization.FLOAT16: "float16",
    Quantization.DYNAMIC: "int8",
    Quantization.INT8: "int8",
    Quantization.INT16X8: "int8",
}
ACTIVATIONS = {Quantization.INT8: "int8", Quantization.INT16X8: "int16"}  # of the others float32
FLOATS = {"float32", "float16"}
SMALL = 1024  # numbers: dynamic range leaves what is smaller as it is
NEWEST_DENSE = 11  # FULLY_CONNECTED of tflite-runtime 2.14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequirements:
    """What a file is asked to be."""

    recipe: Quantization
    io: IoType
    size: int
    labels: int
    keeps_floats: bool = False  # where selective quantization left layers alone

    def check(self, data: bytes) -> ModelFile:
        """What was read, if the promise is kept; else an error that names what breaks it."""
        model = read_model(data, where=WHERE)
        for broken in self._broken(model):
            what = f"converted file does not meet the requirements of {self.recipe.value} ({broken})"
            raise OutputError(WHERE, what, BUG_HINT, code="conversion-check-failed")
        return model

    def _broken(self, model: ModelFile) -> Iterator[str]:
        yield from self._broken_edges(model)
        yield from self._broken_operators(model)
        yield from self._broken_tensors(model)
        yield from self._broken_weights(model)
        yield from self._broken_activations(model)

    def _broken_edges(self, model: ModelFile) -> Iterator[str]:
        for which, tensors, shape in (
            ("input", model.inputs, (1, self.size, self.size, 3)),
            ("output", model.outputs, (1, self.labels)),
        ):
            if len(tensors) != 1:
                yield f"expected 1 {which}, found {len(tensors)}"
            elif tensors[0].dtype != self.io.value:
                yield f"{which} type is {tensors[0].dtype}, expected {self.io.value}"
            elif tuple(tensors[0].shape) != shape:
                yield f"{which} shape is {list(tensors[0].shape)}, expected {list(shape)}"
        if self.io in MIDDLES:
            yield from self._broken_bytes(model.inputs[0])

    def _broken_bytes(self, entrance: TensorInfo) -> Iterator[str]:
        scales, middles = entrance.scales, entrance.zero_points
        if len(scales) != 1 or abs(scales[0] - PIXEL_STEP) > STEP_ERROR or middles[0] not in MIDDLES[self.io]:
            found = f"scale {list(scales)} and zero point {list(middles)}"
            yield f"input has {found}, expected those of raw bytes (scale 1/127.5)"

    def _broken_operators(self, model: ModelFile) -> Iterator[str]:
        for operator in model.operators:
            if operator.custom:
                yield f"operator {operator.name} is not built-in"
            if operator.name == "FULLY_CONNECTED" and operator.version > NEWEST_DENSE:
                yield (
                    f"FULLY_CONNECTED has version {operator.version}, "
                    f"but tflite-runtime 2.14.0 supports at most version {NEWEST_DENSE}"
                )

    def _broken_tensors(self, model: ModelFile) -> Iterator[str]:
        outside = {tensor.name for tensor in (*model.inputs, *model.outputs)}
        inside = KINDS[self.recipe] | (FLOATS if self.keeps_floats else set())
        for tensor in model.tensors:
            allowed = inside | {self.io.value} if tensor.name in outside else inside
            if tensor.dtype not in allowed:
                yield f"tensor {tensor.name} has type {tensor.dtype}"

    def _broken_weights(self, model: ModelFile) -> Iterator[str]:
        if not is_mostly(model, self.recipe):
            yield f"fewer than half of the weights are {WEIGHTS[self.recipe]}"

    def _broken_activations(self, model: ModelFile) -> Iterator[str]:
        """Most of what is computed has the type of the recipe."""
        wanted = ACTIVATIONS.get(self.recipe, "float32")
        fitting = sum(tensor.dtype == wanted for tensor in model.computed)
        if not self.keeps_floats and 2 * fitting < len(model.computed):
            yield f"fewer than half of the activations are {wanted}"


def is_mostly(model: ModelFile, recipe: Quantization) -> bool:
    """Whether most of what is stored has the type of the recipe."""
    stored = [tensor for tensor in model.tensors if tensor.parameters > SMALL]
    fitting = sum(tensor.parameters for tensor in stored if tensor.dtype == WEIGHTS[recipe])
    return 2 * fitting >= sum(tensor.parameters for tensor in stored)
