"""Make the candidates of a float .tflite of unknown origin: litert-quantizer quantizes it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from converter.quantize.calibration import CalibrationSet, Ranges, read_calibration_set
from converter.quantize.litert_quantizing import CHUNK, FloatFile, open_float_file
from converter.quantize.tflite_conversion import Quantization
from converter.request import ConversionRequest, Method
from converter.search.candidate import Candidate, list_counts
from converter.sources.source import Source
from dermpack.errors import InputError
from dermpack.progress import Track, silent
from dermpack.tflite.reading import read_model

PROBABILITY_LIMITS = (0.0, 1.0)
COMPARED_PICTURES = 16  # to rank the layers by what int8 does to them
NO_TRAINING = "Use --method ptq, or convert the Keras file that the model was made from."


def check_request(source: Source, request: ConversionRequest) -> None:
    """Raise InputError for what cannot be done without the layers of a network."""
    if Quantization.INT16X8 in request.recipes:
        what = "not supported for a .tflite"
        raise InputError("--int16x8", what, "Choose another quantization.", code="option-not-applicable")
    if request.method is Method.QAT:
        what = "a .tflite cannot be trained"
        raise InputError(source.where, what, NO_TRAINING, code="qat-not-supported")
    for is_given, option in (
        (request.evidence, "--evidence"),
        (request.familiarity, "--familiarity"),
        (request.layer_errors, "--layer-errors"),
    ):
        if is_given:
            what = "not supported for a .tflite, whose layers are not known"
            raise InputError(option, what, "Omit the option.", code="option-not-applicable")


def make_file_candidates(
    source: Source, recipe: Quantization, request: ConversionRequest, track: Track = silent
) -> Generator[Candidate, None, None]:
    """Yield the candidates of a recipe: one, or for int8 also those with layers in floating point."""
    assert source.file is not None, source.description
    io = request.io_of(recipe)
    with open_float_file(
        source.file, where=source.where, clipping=request.clipping, threads=request.threads
    ) as file:
        start_time = perf_counter()
        if recipe is not Quantization.INT8:
            data = file.quantize(
                recipe.value,
                io=io.value,
                input_limits=source.picture.pixels.limits,
                output_limits=PROBABILITY_LIMITS,
            )
            seconds = perf_counter() - start_time
            yield Candidate(recipe=recipe, io=io, method=None, data=data, seconds=seconds)
            return
        measured = _measure(source, file, request, track)
        if request.method is not Method.SELECTIVE:
            yield _quantize(source, file, request, measured)
        if request.method is not Method.PTQ:
            rows = measured.calibration.rows[:COMPARED_PICTURES]
            worst = file.rank_layers(source.picture.pixels.apply(rows), measured.limits)
            for count in list_counts(len(worst)):
                yield _quantize(source, file, request, measured, float_layers=worst[:count])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredFile:
    """The ranges of a float file, and the pictures on which they were measured."""

    ranges: Ranges
    limits: dict[str, tuple[float, float]]  # of each tensor
    calibration: CalibrationSet
    seconds: float


def _measure(source: Source, file: FloatFile, request: ConversionRequest, track: Track) -> MeasuredFile:
    start_time = perf_counter()
    calibration = read_calibration_set(
        source, count=request.pictures, seed=request.seed, threads=request.threads
    )
    rows, found = calibration.rows, []
    starts = range(0, len(rows), CHUNK)
    for start in track(starts, total=len(starts), what="Measuring ranges"):
        found.append(file.measure(source.picture.pixels.apply(rows[start : start + CHUNK])))
    reached = np.concatenate(found)
    ranges = Ranges(
        names=file.tensors,
        lowest=reached[:, 0],
        highest=reached[:, 1],
        clipping=request.clipping,
        counts=file.read_counts(),
    )
    limits = {
        name: (low, high) for name, (low, high) in zip(file.tensors, ranges.limits().tolist(), strict=True)
    }
    # Every pixel may be black or white, whatever the calibration pictures contain.
    limits[file.input] = source.picture.pixels.limits
    return MeasuredFile(
        ranges=ranges,
        limits=limits,
        calibration=calibration,
        seconds=perf_counter() - start_time,
    )


def _quantize(
    source: Source,
    file: FloatFile,
    request: ConversionRequest,
    measured: MeasuredFile,
    *,
    float_layers: tuple[str, ...] = (),
) -> Candidate:
    start_time, io = perf_counter(), request.io_of(Quantization.INT8)
    limits = measured.limits
    data = file.quantize(
        Quantization.INT8.value,
        io=io.value,
        input_limits=source.picture.pixels.limits,
        output_limits=PROBABILITY_LIMITS if source.applied else limits[file.output],
        ranges=limits,
        float_layers=float_layers,
    )
    notes = measured.ranges.notes()
    # litert-quantizer leaves operators that it does not support in floating point, without an error.
    model = read_model(data, where=source.where)
    ends = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    kept = {tensor.name for tensor in model.computed if tensor.is_float} - ends
    left = tuple(name for name in measured.ranges.names if name in kept)
    if left:
        notes += (f"{len(left)} of {len(measured.ranges.names)} layers stay in floating point",)
    return Candidate(
        recipe=Quantization.INT8,
        io=io,
        method=Method.SELECTIVE if float_layers else Method.PTQ,
        data=data,
        seconds=measured.seconds + perf_counter() - start_time,
        calibration=measured.calibration,
        clipping=request.clipping,
        float_layers=left,
        notes=notes,
    )
