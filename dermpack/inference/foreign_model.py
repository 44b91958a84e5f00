"""Describe a .tflite of unknown origin: its labels, what it returns, and how a picture is fed to it.

Information in the file is used; the user must declare whatever the file does not contain. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.contract import (
    PICTURE,
    PIXEL_MIDDLE,
    PROBABILITIES,
    Activation,
    ColorOrder,
    PictureInput,
    PictureLayout,
    ProbabilitiesOutput,
    TensorInterface,
    TensorType,
    check_labels,
    check_quantization,
)
from dermpack.errors import InputError, count_noun
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.classifier import MAX_SIDE
from dermpack.tflite.model_file import Metadata, ModelFile, TensorInfo
from dermpack.tflite.reading import read_model

Triple = tuple[float, float, float]
GIVE_CLASSIFIER = "Give a classifier with one input, which takes one square RGB picture, and one output."
HOW_TO_DECLARE = (
    "Declare it with --input-range, or with --mean and --std, or let dermpack convert --find-input find it."
)
MIN_SIDE = 8  # a file that does not fix the size of its pictures has the side 1


class InputRange(Enum):
    """The usual numbers of pixels; the value is that of the option."""

    BYTES = "0..255"
    UNIT = "0..1"
    SIGNED = "-1..1"
    IMAGENET = "imagenet"  # 0..1, less the mean of ImageNet, by its standard deviation: PyTorch
    CAFFE = "caffe"  # 0..255, less the mean of ImageNet: the older networks of Keras, which take BGR

    @property
    def mean(self) -> Triple:
        return NORMALIZATIONS[self][0]

    @property
    def std(self) -> Triple:
        return NORMALIZATIONS[self][1]


NORMALIZATIONS: dict[InputRange, tuple[Triple, Triple]] = {
    InputRange.BYTES: ((0.0,) * 3, (1.0,) * 3),
    InputRange.UNIT: ((0.0,) * 3, (255.0,) * 3),
    InputRange.SIGNED: (PIXEL_MIDDLE, PIXEL_MIDDLE),
    InputRange.IMAGENET: ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    InputRange.CAFFE: ((123.68, 116.779, 103.939), (1.0,) * 3),
}


class OutputHead(Enum):
    """What the numbers of the output are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredInput:
    """What the user declares about a file; None: as in the file, or the default.

    `mean` and `std` are of pixels from 0 to 255, in the order red, green, blue for every file.
    """

    range: InputRange | None = None
    mean: Triple | None = None
    std: Triple | None = None
    color: ColorOrder | None = None
    layout: PictureLayout | None = None
    policy: Policy | None = None
    head: OutputHead | None = None

    def __post_init__(self) -> None:
        if self.range is not None and (self.mean or self.std):
            what = "cannot be used together with --mean and --std"
            raise InputError("--input-range", what, "Give one of them.", code="conflicting-options")
        if (self.mean is None) != (self.std is None):
            raise InputError("--mean", "requires --std", "Give both.", code="missing-option")
        if self.std is not None and min(self.std) <= 0:
            raise InputError("--std", "must be above 0", "Correct the numbers.", code="invalid-option")

    @property
    def has_normalization(self) -> bool:
        """Whether the numbers of pixels are declared."""
        return self.range is not None or self.mean is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForeignModel:
    """A .tflite with its labels and its interface; without a normalization, the interface cannot be made."""

    path: Path
    data: bytes
    file: ModelFile
    labels: tuple[str, ...]
    declared: DeclaredInput
    size: int
    layout: PictureLayout
    activation: Activation
    applied: bool  # whether the file contains the activation

    @property
    def licence(self) -> str:
        """The licence that the file states, or ""."""
        return self.file.metadata.licence if self.file.metadata else ""

    def interface(self, declared: DeclaredInput | None = None) -> TensorInterface:
        """Return the tensors as a contract describes them, or raise InputError if something is unknown."""
        declared = declared or self.declared
        mean, std = self._normalization(declared)
        color = declared.color or ColorOrder.RGB
        if color is ColorOrder.BGR:
            mean, std = mean[::-1], std[::-1]
        pixels, scores = self.file.inputs[0], self.file.outputs[0]
        return TensorInterface(
            inputs={
                PICTURE: PictureInput(
                    shape=pixels.shape,
                    width=self.size,
                    height=self.size,
                    mean=mean,
                    std=std,
                    color=color,
                    layout=self.layout,
                    policy=(declared.policy or Policy.CENTRE_SQUARE).value,
                    size_bytes=pixels.size_bytes,
                    **quantization_of(pixels),
                )
            },
            outputs={
                PROBABILITIES: ProbabilitiesOutput(
                    shape=scores.shape,
                    activation=self.activation,
                    applied=self.applied,
                    temperature=None,
                    **quantization_of(scores),
                )
            },
        )

    def _normalization(self, declared: DeclaredInput) -> tuple[Triple, Triple]:
        """Return mean and std in the order red, green, blue: as declared, or as in the file."""
        if declared.range is not None:
            return declared.range.mean, declared.range.std
        if declared.mean is not None and declared.std is not None:
            return declared.mean, declared.std
        pixels, metadata = self.file.inputs[0], self.file.metadata
        if metadata is not None and (stated := _stated_normalization(metadata, declared.color)) is not None:
            return stated
        if pixels.dtype != TensorType.FLOAT32.value and pixels.scales:
            # The numbers of the input are the pixels themselves, for int8 less 128.
            scale, zero_point = pixels.scales[0], pixels.zero_points[0]
            lowest = 0 if pixels.dtype == TensorType.UINT8.value else -128
            return (float(zero_point - lowest),) * 3, (1 / scale,) * 3
        what = "the file does not define which numbers it takes for the pixels"
        raise InputError(self.path, what, HOW_TO_DECLARE, code="missing-normalization")


def describe_model(
    path: Path, data: bytes, *, labels: Sequence[str] | None, declared: DeclaredInput
) -> ForeignModel:
    """Return the description of a .tflite, or raise InputError if dermpack cannot use it."""
    file = read_model(data, where=path)
    for kind, tensors in (("inputs", file.inputs), ("outputs", file.outputs)):
        if len(tensors) != 1:
            what = f"the model has {len(tensors)} {kind}"
            raise InputError(path, what, GIVE_CLASSIFIER, code="unsupported-model")
    for tensor in (*file.inputs, *file.outputs):
        if tensor.dtype not in {known.value for known in TensorType} or tensor.is_per_channel:
            what = f"the tensor {tensor.name} has the unsupported type {tensor.dtype}"
            raise InputError(path, what, GIVE_CLASSIFIER, code="unsupported-model")
        try:
            check_quantization(**quantization_of(tensor))
        except ValueError as error:
            what = f"the tensor {tensor.name} has an invalid quantization ({error})"
            raise InputError(path, what, "Export the model again.", code="unsupported-model") from error
    for operator in file.operators:
        if operator.custom:
            what = f"the model has the operator {operator.name}, which is not built-in"
            raise InputError(path, what, "Export it with built-in operators.", code="unsupported-model")
    size, layout = _read_sides(path, file.inputs[0], declared.layout)
    known = _find_labels(path, labels, file)
    activation, applied = _find_head(path, file, declared.head)
    return ForeignModel(
        path=path,
        data=data,
        file=file,
        labels=known,
        declared=declared,
        size=size,
        layout=layout,
        activation=activation,
        applied=applied,
    )


def quantization_of(tensor: TensorInfo) -> dict[str, Any]:
    """Return type, scale and zero point of a tensor as the fields of its record in a contract."""
    scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (None, None)
    return {"dtype": TensorType(tensor.dtype), "scale": scale, "zero_point": zero_point}


def _read_sides(path: Path, tensor: TensorInfo, declared: PictureLayout | None) -> tuple[int, PictureLayout]:
    """Return the side of the picture and the order of the dimensions."""
    fitting = []
    for layout in PictureLayout:
        sides = {PictureLayout.NHWC: tensor.shape[1:3], PictureLayout.NCHW: tensor.shape[2:4]}[layout]
        channels = tensor.shape[-1:] if layout is PictureLayout.NHWC else tensor.shape[1:2]
        is_square = len(tensor.shape) == 4 and len(set(sides)) == 1 and MIN_SIDE <= sides[0] <= MAX_SIDE
        if is_square and tensor.shape[0] == 1 and channels == (3,) and declared in (None, layout):
            fitting.append((sides[0], layout))
    if not fitting:
        what = f"the input has shape {list(tensor.shape)}, not that of one square picture with 3 channels"
        if declared is not None:
            what += f" in the layout {declared.value}"
        raise InputError(path, what, GIVE_CLASSIFIER, code="unsupported-model")
    return fitting[0]


def _find_labels(path: Path, given: Sequence[str] | None, file: ModelFile) -> tuple[str, ...]:
    """Return the given labels, or those inside the file, after comparing their number with the outputs."""
    labels = tuple(given) if given is not None else file.metadata.labels if file.metadata else ()
    if not labels:
        what = "the labels of the outputs are unknown"
        raise InputError(path, what, "Give --labels FILE or --labels A,B,C.", code="missing-labels")
    try:
        check_labels("labels", labels)
    except ValueError as error:
        hint = "Write one label per line, in the order of the outputs."
        raise InputError(path, str(error), hint, code="invalid-labels") from error
    outputs = file.outputs[0].shape[-1] if file.outputs[0].shape else 0
    if file.outputs[0].shape not in ((1, outputs), (outputs,)):
        what = f"the output has shape {list(file.outputs[0].shape)}, not one number per label"
        raise InputError(path, what, GIVE_CLASSIFIER, code="unsupported-model")
    if outputs != len(labels) and (outputs, len(labels)) != (1, 2):
        what = f"the model has {count_noun(outputs, 'output')}, but there are {len(labels)} labels"
        hint = "Give --labels with one label per output; for a single output, the labels of 0 and of 1."
        raise InputError(path, what, hint, code="labels-mismatch")
    return labels


def _find_head(path: Path, file: ModelFile, declared: OutputHead | None) -> tuple[Activation, bool]:
    """Return the function that makes probabilities of the scores, and whether the file contains it."""
    is_single = file.outputs[0].shape[-1] == 1
    activation = Activation.SIGMOID if is_single else Activation.SOFTMAX
    if file.output_operator == "LOGISTIC" and not is_single and declared is None:
        what = (
            "the output has a sigmoid for each label, so its numbers are not the probabilities of one answer"
        )
        hint = "Give a classifier whose probabilities add up to 1."
        raise InputError(path, what, hint, code="unsupported-model")
    own = {Activation.SOFTMAX: "SOFTMAX", Activation.SIGMOID: "LOGISTIC"}[activation]
    applied = file.output_operator == own
    return activation, applied if declared is None else declared is OutputHead.PROBABILITIES


def _stated_normalization(metadata: Metadata, color: ColorOrder | None) -> tuple[Triple, Triple] | None:
    """Return mean and std of the metadata in the order red, green, blue; None if it has none."""
    values = []
    for numbers in (metadata.mean, metadata.std):
        each = numbers * 3 if len(numbers) == 1 else numbers
        if len(each) != 3:
            return None
        red, green, blue = each[::-1] if color is ColorOrder.BGR else each
        values.append((red, green, blue))
    mean, std = values
    return (mean, std) if min(std) > 0 else None
