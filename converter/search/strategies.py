"""The ways to each recipe, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from converter.qat.qat_strategy import TrainingObservers, by_training
from converter.quantize.tflite_conversion import Quantization
from converter.search.candidate import (
    CalibrationSet,
    Candidate,
    RangedModel,
    Step,
    by_measuring,
    plainly,
    read_material,
    read_ranges,
)
from converter.search.request import ConversionRequest, Method
from converter.search.selective_search import LayerHarm, by_sparing, counts_for, weigh
from converter.sources.run_source import RunSource


def steps_of(
    source: RunSource,
    recipe: Quantization,
    request: ConversionRequest,
    work: Path,
    audience: TrainingObservers,
) -> Iterator[Step]:
    """What makes candidates, the cheapest first."""
    shared = _shared(source, recipe, request, audience)
    if not recipe.needs_ranges:
        yield partial(plainly, source, recipe, request)
    elif recipe is not Quantization.INT8:
        yield lambda: by_measuring(recipe, request, shared.material(), shared.ranged())
    else:
        for method in _methods(source, request.method):
            for step in _int8_steps(method, source, request, shared, work, audience):
                yield partial(_with_errors, step, shared) if request.layer_errors else step


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedWork:
    """What several ways need; each is made once, when it is asked for first."""

    material: Callable[[], CalibrationSet]
    ranged: Callable[[], RangedModel]
    weighed: Callable[[], LayerHarm]


def _shared(
    source: RunSource, recipe: Quantization, request: ConversionRequest, audience: TrainingObservers
) -> SharedWork:
    @cache
    def material() -> CalibrationSet:
        return read_material(source, count=request.pictures, seed=request.seed, threads=request.threads)

    @cache
    def ranged() -> RangedModel:
        return read_ranges(source, recipe, request, material(), audience.track)

    @cache
    def weighed() -> LayerHarm:
        return weigh(material(), ranged(), audience.track)

    return SharedWork(material=material, ranged=ranged, weighed=weighed)


def _int8_steps(
    method: Method,
    source: RunSource,
    request: ConversionRequest,
    shared: SharedWork,
    work: Path,
    audience: TrainingObservers,
) -> Iterator[Step]:
    """How many layers can be spared is known only when they were compared."""
    if method is Method.PTQ:
        yield lambda: by_measuring(Quantization.INT8, request, shared.material(), shared.ranged())
    elif method is Method.QAT:
        yield lambda: by_training(source, request, shared.material(), work, audience)
    else:
        for count in counts_for(len(shared.weighed().errors)):
            yield partial(
                by_sparing, request, shared.material(), shared.ranged(), shared.weighed(), count=count
            )


def _with_errors(step: Step, shared: SharedWork) -> Candidate:
    return replace(step(), errors=shared.weighed().errors)


def _methods(source: RunSource, asked: Method) -> tuple[Method, ...]:
    if asked is not Method.AUTO:
        return (asked,)
    if source.run.spec.arch.qat_refusal:
        return Method.PTQ, Method.SELECTIVE
    return Method.PTQ, Method.QAT, Method.SELECTIVE
