"""A file that may become the export, and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from converter.export.file_requirements import FileRequirements, is_mostly
from converter.quantize.bias_correction import ENOUGH, Errors, correct_biases, mean_errors
from converter.quantize.calibration import choose_pictures, fingerprint, unsettled
from converter.quantize.clipping import Clipping
from converter.quantize.ranges import Ranges, measure_ranges, with_ranges
from converter.quantize.tflite_conversion import IoType, Quantization, convert, quantize, unquantized
from converter.search.request import ConversionRequest, Method
from converter.search.selective import LayerError
from converter.sources.run_source import RunSource
from dermpack.dataset.manifest import Picture, Split
from dermpack.imaging import prepare
from dermpack.progress import Track, silent
from dermpack.tflite import ModelFile, read_model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSet:
    """The training pictures that ranges are measured on."""

    pictures: tuple[Picture, ...]
    rows: NDArray[np.uint8]
    seed: int

    @property
    def sha256(self) -> str:
        return fingerprint(self.pictures)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """The bytes, without metadata yet; `kept` names the tensors that stay in floating point."""

    recipe: Quantization
    io: IoType
    method: Method | None  # None where there is but one way
    data: bytes
    seconds: float
    material: CalibrationSet | None = None
    clipping: Clipping = Clipping.MINMAX  # of the ranges that were measured
    kept: tuple[str, ...] = ()
    errors: tuple[LayerError, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Tells it from others of the same recipe: ptq, qat, selective-10."""
        spared = f"-{len(self.kept)}" if self.kept else ""
        return f"{self.method.value if self.method else self.recipe.value}{spared}"

    @property
    def spares_most(self) -> bool:
        """Whether the layers that were spared hold most weights: it is no file of its recipe any more."""
        return bool(self.kept) and not is_mostly(read_model(self.data, where=self.name), self.recipe)

    def check(self, data: bytes, source: RunSource) -> ModelFile:
        """What the bytes say of themselves, if they keep what was promised for this candidate."""
        run = source.run
        promise = FileRequirements(
            recipe=self.recipe,
            io=self.io,
            size=run.spec.size,
            labels=len(run.classes),
            keeps_floats=bool(self.kept),
        )
        return promise.check(data)


Step: TypeAlias = Callable[[], Candidate]


def read_material(source: RunSource, *, count: int, seed: int, threads: int) -> CalibrationSet:
    """Class-balanced pictures of the training split, prepared."""
    dataset, run = source.dataset, source.run
    pictures = choose_pictures(dataset.manifest.of(Split.TRAIN), count=count, seed=seed)
    work = partial(prepare, size=run.spec.size, policy=run.policy)
    with ThreadPoolExecutor(threads) as pool:
        rows = np.stack(list(pool.map(work, map(dataset.file, pictures))))
    return CalibrationSet(pictures=pictures, rows=rows, seed=seed)


def plainly(source: RunSource, recipe: Quantization, request: ConversionRequest) -> Candidate:
    """A recipe that measures nothing."""
    began = perf_counter()
    io = request.io_of(recipe)
    data = convert(source.frozen, recipe, io=io)
    return Candidate(recipe=recipe, io=io, method=None, data=data, seconds=perf_counter() - began)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RangedModel:
    """The float file that holds measured ranges, and what integers add to its layers: where they start."""

    plain: bytes
    errors: Errors
    ranges: Ranges
    seconds: float

    def corrected(self, *, but: Collection[str] = ()) -> bytes:
        """With biases for integers everywhere but in these layers."""
        return correct_biases(self.plain, self.errors, but=but)


def read_ranges(
    source: RunSource,
    recipe: Quantization,
    request: ConversionRequest,
    material: CalibrationSet,
    track: Track = silent,
) -> RangedModel:
    """Run the float file on the pictures; weights of 8 bits shift its means, which its biases then take back.

    16 bits between the layers are no remedy: the weights are the same bytes.
    """
    began = perf_counter()
    start = unquantized(source.frozen, recipe)
    ranges = measure_ranges(
        start, material.rows, clipping=request.clipping, threads=request.threads, track=track
    )
    plain = with_ranges(start, ranges.limits())
    errors = mean_errors(plain, material.rows[:ENOUGH], threads=request.threads, track=track)
    return RangedModel(plain=plain, errors=errors, ranges=ranges, seconds=perf_counter() - began)


def by_measuring(
    recipe: Quantization, request: ConversionRequest, material: CalibrationSet, ranged: RangedModel
) -> Candidate:
    """Post-training quantization: the network as it is, with the ranges that were measured."""
    began, io = perf_counter(), request.io_of(recipe)
    data = quantize(ranged.corrected(), recipe, io=io)
    return Candidate(
        recipe=recipe,
        io=io,
        method=Method.PTQ,
        data=data,
        seconds=ranged.seconds + perf_counter() - began,
        material=material,
        clipping=ranged.ranges.clipping,
        notes=_restless(ranged.ranges),
    )


def _restless(ranges: Ranges) -> tuple[str, ...]:
    names = unsettled(ranges)
    if not names:
        return ()
    share = f"{len(names)} of {len(ranges.names)} tensors"
    return (f"the ranges of {share} differ by more than 20 % between two halves of the pictures",)
