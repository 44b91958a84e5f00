"""Make one candidate after the other for a recipe, cheapest first, until one is within the limit."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from converter.qat.qat_training import TrainingObservers, make_qat_candidate
from converter.quantize.calibration import CalibrationSet, read_calibration_set
from converter.quantize.tflite_conversion import Quantization
from converter.request import ConversionRequest, Method
from converter.search.accuracy_limit import FloatComparison, compare_to_float, derive_limit
from converter.search.candidate import (
    Candidate,
    MeasuredErrors,
    RangedModel,
    list_counts,
    make_plain_candidate,
    make_ptq_candidate,
    make_selective_candidate,
    measure_layers,
    measure_model,
)
from converter.search.file_candidates import make_file_candidates
from converter.sources.source import Source
from dermpack.errors import InputError
from dermpack.progress import Track, silent

QAT_NOT_SUPPORTED = "qat-not-supported"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriedCandidate:
    """A candidate and its comparison to the float network."""

    candidate: Candidate
    comparison: FloatComparison
    excess: float  # the loss as a multiple of the limit

    @property
    def is_within(self) -> bool:
        """Whether the loss is within the limit."""
        return self.excess <= 1


def try_candidates(
    candidates: Iterable[Candidate], source: Source, request: ConversionRequest, *, track: Track = silent
) -> tuple[TriedCandidate, ...]:
    """Compare one candidate after the other to the float network; only the last can be within the limit."""
    limit = derive_limit(source.float_predictions, max_drop=request.max_drop)
    tried: list[TriedCandidate] = []
    for candidate in candidates:
        if tried and candidate.is_mostly_float:
            break  # the next ones leave even more layers in floating point
        candidate.check(candidate.data, source)
        comparison = compare_to_float(
            candidate.data, source, seed=request.seed, threads=request.threads, track=track
        )
        excess = limit.excess(comparison)
        tried.append(TriedCandidate(candidate=candidate, comparison=comparison, excess=excess))
        if tried[-1].is_within:
            break
    return tuple(tried)


def choose_best(tried: Sequence[TriedCandidate]) -> TriedCandidate:
    """Return the candidate that exceeds the limit least; of equals the first, which has more int8 layers."""
    return min(tried, key=lambda one: one.excess)


def make_candidates(
    source: Source,
    recipe: Quantization,
    request: ConversionRequest,
    training_folder: Path,
    observers: TrainingObservers,
) -> Generator[Candidate, None, None]:
    """Return the candidates of a recipe, the cheapest first; each is made when the caller asks for it."""
    if source.file is not None:
        return make_file_candidates(source, recipe, request, observers.track)
    return _make_network_candidates(source, recipe, request, training_folder, observers)


def _make_network_candidates(
    source: Source,
    recipe: Quantization,
    request: ConversionRequest,
    training_folder: Path,
    observers: TrainingObservers,
) -> Generator[Candidate, None, None]:
    if not recipe.needs_ranges:
        yield make_plain_candidate(source, recipe, request)
        return
    calibration = read_calibration_set(
        source, count=request.pictures, seed=request.seed, threads=request.threads
    )

    # Not every method needs these two, and several may.
    @cache
    def ranged() -> RangedModel:
        return measure_model(source, recipe, request, calibration, observers.track)

    @cache
    def measured_errors() -> MeasuredErrors:
        return measure_layers(ranged(), observers.track)

    def make(method: Method) -> Iterator[Candidate]:
        if method is Method.PTQ:
            yield make_ptq_candidate(recipe, request, ranged())
        elif method is Method.QAT:
            yield from _try_qat(source, request, calibration, training_folder, observers)
        else:
            for count in list_counts(len(measured_errors().errors)):
                yield make_selective_candidate(request, ranged(), measured_errors(), count=count)

    has_errors = request.layer_errors and recipe is Quantization.INT8
    for method in _list_methods(source, recipe, request):
        for candidate in make(method):
            yield replace(candidate, errors=measured_errors().errors) if has_errors else candidate


def _try_qat(
    source: Source,
    request: ConversionRequest,
    calibration: CalibrationSet,
    training_folder: Path,
    observers: TrainingObservers,
) -> Iterator[Candidate]:
    """Yield the candidate of quantization-aware training, or none if auto finds it unsupported.

    Only the attempt shows whether tfmot supports the network of another program.
    """
    try:
        candidate = make_qat_candidate(source, request, calibration, training_folder, observers)
    except InputError as error:
        if request.method is not Method.AUTO or error.code != QAT_NOT_SUPPORTED:
            raise
        return
    yield candidate


def _list_methods(source: Source, recipe: Quantization, request: ConversionRequest) -> list[Method]:
    if recipe is not Quantization.INT8:
        return [Method.PTQ]
    if request.method is not Method.AUTO:
        return [request.method]
    has_qat = not source.trained.qat_refusal
    return [Method.PTQ, *([Method.QAT] if has_qat else []), Method.SELECTIVE]
