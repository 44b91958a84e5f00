"""Make a file that may become the export, and check that it meets the requirements of its recipe."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize import layer_errors
from converter.quantize.calibration import CalibrationSet, Ranges, measure_ranges, write_ranges
from converter.quantize.clipping import Clipping
from converter.quantize.tflite_conversion import (
    FrozenFunction,
    IoType,
    Quantization,
    convert,
    convert_unquantized,
    name_tensors,
    quantize,
)
from converter.request import ConversionRequest, Method
from converter.sources.source import Source
from dermpack.contract import FAMILIARITY, PICTURE
from dermpack.errors import OutputError
from dermpack.progress import Track, silent
from dermpack.tflite.model_file import STEP_ERROR, ModelFile, TensorInfo
from dermpack.tflite.reading import read_model
from dermpack.verification.file_description import (
    FLOAT_TYPES,
    TENSOR_TYPES,
    has_expected_weights,
    is_of_distance,
)

WHERE = "model.tflite"
BUG_HINT = "This is a bug in the converter; please report it."
NEWEST_DENSE = 11  # the newest FULLY_CONNECTED that tflite-runtime 2.14.0 supports
ACTIVATIONS = {Quantization.INT8: "int8", Quantization.INT16X8: "int16"}  # float32 in the others
# How many layers to leave in floating point, one count after the other: one or two often cause most of the
# loss, and ten of a hundred restored MobileNetV3.
COUNTS = (1, 2, 5, 10, 20)
COMPARED_PICTURES = 32
Shapes = Mapping[str, tuple[int, ...]]  # of inputs or outputs, by name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A file without its metadata, and how it was made."""

    recipe: Quantization
    io: IoType
    method: Method | None  # None if the recipe has only one way
    data: bytes
    seconds: float
    calibration: CalibrationSet | None = None
    clipping: Clipping = Clipping.MINMAX  # of the measured ranges
    float_layers: tuple[str, ...] = ()  # the output tensors of the layers that stay in floating point
    errors: tuple[layer_errors.LayerError, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name among others of the same recipe: ptq, qat, selective-10."""
        count = f"-{len(self.float_layers)}" if self.float_layers else ""
        return f"{self.method.value if self.method else self.recipe.value}{count}"

    @property
    def is_mostly_float(self) -> bool:
        """Whether the layers in floating point contain most of the weights."""
        if not self.float_layers:
            return False
        return not has_expected_weights(read_model(self.data, where=self.name), self.recipe.value)

    def check(self, data: bytes, source: Source, *, has_distance: bool = False) -> ModelFile:
        """Read the bytes back, and raise OutputError unless they are what this candidate should be."""
        return check_file(
            data,
            self.recipe,
            io=self.io,
            inputs=source.input_shapes,
            outputs=source.output_shapes,
            pixels=source.pixels,
            has_float_layers=bool(self.float_layers),
            is_foreign=source.file is not None,
            has_distance=has_distance,
        )


def make_plain_candidate(source: Source, recipe: Quantization, request: ConversionRequest) -> Candidate:
    """Make the file of a recipe that needs no ranges."""
    start_time, io = perf_counter(), request.io_of(recipe)
    data = convert(source.trained.frozen, recipe, io=io)
    return Candidate(recipe=recipe, io=io, method=None, data=data, seconds=perf_counter() - start_time)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RangedModel:
    """The float file with measured ranges, and the mean errors that int8 adds to its layers."""

    frozen: FrozenFunction
    uncorrected: bytes
    errors: layer_errors.MeanErrors
    calibration: CalibrationSet
    pixels: PixelScale
    ranges: Ranges
    seconds: float

    def corrected(self, *, excluded: Collection[str] = ()) -> bytes:
        """Return the file with corrected biases in all layers but the excluded ones."""
        return layer_errors.correct_biases(self.uncorrected, self.errors, excluded=excluded)


def measure_model(
    source: Source,
    recipe: Quantization,
    request: ConversionRequest,
    calibration: CalibrationSet,
    track: Track = silent,
) -> RangedModel:
    """Measure the ranges of the float file and the mean errors of its layers on the calibration pictures.

    int16x8 needs the bias correction, too: its weights are the same 8-bit numbers as those of int8.
    """
    start_time, threads = perf_counter(), request.threads
    unquantized, pixels = convert_unquantized(source.trained.frozen, recipe), source.pixels
    # 1. Measure the range of each tensor in the float file, and write it there.
    ranges = measure_ranges(
        unquantized,
        calibration.rows,
        metadata=calibration.metadata,
        pixels=pixels,
        clipping=request.clipping,
        threads=threads,
        track=track,
    )
    ranged = write_ranges(unquantized, ranges.limits())
    # 2. Compare each layer in int8 and in float with these ranges; the means correct the biases.
    pictures = calibration.rows[: layer_errors.CORRECTION_PICTURES]
    known = calibration.metadata.rows if calibration.metadata else None
    errors = layer_errors.measure_mean_errors(
        ranged, pictures, metadata=known, pixels=pixels, threads=threads, track=track
    )
    return RangedModel(
        frozen=source.trained.frozen,
        uncorrected=ranged,
        errors=errors,
        calibration=calibration,
        pixels=pixels,
        ranges=ranges,
        seconds=perf_counter() - start_time,
    )


def make_ptq_candidate(recipe: Quantization, request: ConversionRequest, ranged: RangedModel) -> Candidate:
    """Return the candidate of post-training quantization, with measured ranges and corrected biases."""
    candidate = _quantize_ranged(recipe, request, ranged, Method.PTQ)
    return replace(candidate, notes=ranged.ranges.notes())


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredErrors:
    """The error that int8 adds to each layer, in the order of the network, and the time to measure it."""

    errors: tuple[layer_errors.LayerError, ...]
    seconds: float


def measure_layers(ranged: RangedModel, track: Track = silent) -> MeasuredErrors:
    """Measure the error of each layer with the measured ranges and corrected biases."""
    start_time = perf_counter()
    pictures, known = ranged.calibration.rows[:COMPARED_PICTURES], ranged.calibration.metadata
    errors = layer_errors.measure_layer_errors(
        ranged.corrected(),
        pictures,
        metadata=known.rows if known else None,
        pixels=ranged.pixels,
        track=track,
    )
    return MeasuredErrors(errors=errors, seconds=perf_counter() - start_time)


def make_selective_candidate(
    request: ConversionRequest, ranged: RangedModel, measured: MeasuredErrors, *, count: int
) -> Candidate:
    """Return the candidate in which the `count` worst layers stay in floating point."""
    # The errors of the layers are independent of each other, so the worst ones need no new measurement.
    layers = worst_layers(measured.errors, count=count)
    candidate = _quantize_ranged(Quantization.INT8, request, ranged, Method.SELECTIVE, float_layers=layers)
    note = f"selective: {len(layers)} of {len(measured.errors)} layers stay in floating point"
    return replace(
        candidate, seconds=candidate.seconds + measured.seconds, errors=measured.errors, notes=(note,)
    )


def list_counts(layers: int) -> tuple[int, ...]:
    """Return the numbers of layers to exclude, one after the other: list_counts(7) → (1, 2, 3)."""
    most = layers // 2  # with more, the file would no longer be an int8 file
    return tuple(dict.fromkeys(min(count, most) for count in COUNTS))


def worst_layers(errors: Sequence[layer_errors.LayerError], *, count: int) -> tuple[str, ...]:
    """Return the layers with the greatest errors, greatest first; of equals, the one nearer to the input."""
    ranked = sorted(errors, key=lambda error: -error.error)
    return tuple(error.layer for error in ranked[:count])


def _quantize_ranged(
    recipe: Quantization,
    request: ConversionRequest,
    ranged: RangedModel,
    method: Method,
    *,
    float_layers: tuple[str, ...] = (),
) -> Candidate:
    start_time, io = perf_counter(), request.io_of(recipe)
    data = quantize(ranged.corrected(excluded=float_layers), recipe, io=io, float_layers=float_layers)
    data = name_tensors(data, ranged.frozen)
    return Candidate(
        recipe=recipe,
        io=io,
        method=method,
        data=data,
        seconds=ranged.seconds + perf_counter() - start_time,
        calibration=ranged.calibration,
        clipping=ranged.ranges.clipping,
        float_layers=float_layers,
    )


def check_file(
    data: bytes,
    recipe: Quantization,
    *,
    io: IoType,
    inputs: Shapes,
    outputs: Shapes,
    pixels: PixelScale = UNIT_SCALE,
    has_float_layers: bool = False,
    is_foreign: bool = False,
    has_distance: bool = False,
) -> ModelFile:
    """Return the converted file as it is read back, or raise OutputError if its recipe demands otherwise.

    TensorFlow's converter reports no error when it leaves a layer in floating point. A file that another
    program has written may compute with other types between its layers. The output with the distance to the
    training pictures is float32 in every recipe.
    """
    model = read_model(data, where=WHERE)
    distances = [tensor for tensor in model.outputs if has_distance and tensor.name == FAMILIARITY]
    problems = [
        *_end_problems(model.inputs, inputs, io, pixels),
        *_end_problems([tensor for tensor in model.outputs if tensor not in distances], outputs, io, pixels),
        *_end_problems(distances, {FAMILIARITY: (1, 1)} if has_distance else {}, IoType.FLOAT32, pixels),
        *_type_problems(model, recipe, io=io, has_float_layers=has_float_layers, has_other_types=is_foreign),
    ]
    if problems:
        what = f"converted file does not meet the requirements of {recipe.value} ({problems[0]})"
        raise OutputError(WHERE, what, BUG_HINT, code="conversion-check-failed")
    return model


def _end_problems(
    tensors: Sequence[TensorInfo], expected: Shapes, io: IoType, pixels: PixelScale
) -> Iterator[str]:
    """Yield the problems of the inputs or of the outputs, which a file of several has by their names."""
    found = {tensor.name: tensor for tensor in tensors}
    if len(tensors) == len(expected) == 1:
        found = dict(zip(expected, tensors, strict=True))
    if sorted(found) != sorted(expected):
        yield f"expected {', '.join(sorted(expected))}; found {', '.join(sorted(found))}"
        return
    for name, shape in expected.items():
        tensor = found[name]
        if tensor.dtype != io.value:
            yield f"{name} type is {tensor.dtype}, expected {io.value}"
        if tensor.shape != shape:
            yield f"{name} shape is {list(tensor.shape)}, expected {list(shape)}"
        if name == PICTURE:
            yield from _step_problems(tensor, io, pixels)


def _step_problems(tensor: TensorInfo, io: IoType, pixels: PixelScale) -> Iterator[str]:
    """Yield the problem of an 8-bit input in which a step is not a level of the pixels."""
    if io is IoType.FLOAT32 or not pixels.is_uniform:
        return
    (mean, *_), (std, *_), lowest = pixels.mean, pixels.std, np.iinfo(io.value).min
    is_step = [abs(scale * std - 1) < STEP_ERROR for scale in tensor.scales] == [True]
    # A mean of 127.5 is rounded to either side.
    is_middle = [abs(point - lowest - mean) < 1 for point in tensor.zero_points] == [True]
    if not (is_step and is_middle):
        found = f"scale {list(tensor.scales)} and zero point {list(tensor.zero_points)}"
        yield f"{PICTURE} has {found}, expected those of raw bytes (scale 1/{std:g})"


def _type_problems(
    model: ModelFile,
    recipe: Quantization,
    *,
    io: IoType,
    has_float_layers: bool,
    has_other_types: bool,
) -> Iterator[str]:
    """Yield the problems of the operators, of the tensors, of the weights, and of the activations."""
    for operator in model.operators:
        if operator.custom:
            yield f"operator {operator.name} is not built-in"
        if operator.name == "FULLY_CONNECTED" and operator.version > NEWEST_DENSE:
            supported = f"tflite-runtime 2.14.0 supports at most version {NEWEST_DENSE}"
            yield f"FULLY_CONNECTED has version {operator.version}, but {supported}"
    types = TENSOR_TYPES[recipe.value]
    ends = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    inside = types.inside | (FLOAT_TYPES if has_float_layers else frozenset())
    for tensor in model.tensors:
        if is_of_distance(tensor):
            continue
        allowed = inside | {io.value} if tensor.name in ends else inside
        if tensor.dtype not in allowed and not has_other_types:
            yield f"tensor {tensor.name} has type {tensor.dtype}"
    if not has_expected_weights(model, recipe.value):
        yield f"fewer than half of the weights are {types.weights}"
    expected = ACTIVATIONS.get(recipe, "float32")
    computed = [tensor for tensor in model.computed if not is_of_distance(tensor)]
    count = sum(tensor.dtype == expected for tensor in computed)
    if not has_float_layers and 2 * count < len(computed):
        yield f"fewer than half of the activations are {expected}"
