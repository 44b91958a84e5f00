"""The ways to each recipe, in the order in which they are tried."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from converter.candidate import (
    Candidate,
    Material,
    Ranged,
    Step,
    by_measuring,
    plainly,
    read_material,
    read_ranges,
)
from converter.recipes import Recipe
from converter.request import Method, Request
from converter.selective import LayerError
from converter.source import Source
from converter.sparing import COUNTS, by_sparing, read_errors
from converter.training import Audience, by_training


def steps_of(source: Source, recipe: Recipe, request: Request, work: Path, audience: Audience) -> list[Step]:
    """What makes candidates, the cheapest first; what several need is made once, when it is needed."""
    track = audience.track

    @cache
    def material() -> Material:
        return read_material(source, count=request.pictures, seed=request.seed, threads=request.threads)

    @cache
    def ranged() -> Ranged:
        return read_ranges(source, recipe, request, material(), track)

    @cache
    def errors() -> tuple[LayerError, ...]:
        return read_errors(material(), ranged(), track)

    def measured() -> Candidate:
        return by_measuring(recipe, request, material(), ranged())

    def trained() -> Candidate:
        return by_training(source, request, material(), work, audience)

    def spared(count: int) -> Candidate:
        return by_sparing(request, material(), ranged(), errors(), count=count)

    if not recipe.needs_ranges:
        return [partial(plainly, source, recipe, request)]
    if recipe is not Recipe.INT8:
        return [measured]
    sparing: list[Step] = [partial(spared, count) for count in COUNTS]
    ways: dict[Method, list[Step]] = {
        Method.PTQ: [measured],
        Method.QAT: [trained],
        Method.SELECTIVE: sparing,
    }
    return [step for method in _methods(source, request.method) for step in ways[method]]


def _methods(source: Source, asked: Method) -> tuple[Method, ...]:
    if asked is not Method.AUTO:
        return (asked,)
    if source.run.spec.arch.qat_refusal:
        return Method.PTQ, Method.SELECTIVE
    return Method.PTQ, Method.QAT, Method.SELECTIVE
